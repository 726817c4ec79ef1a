// Package join makes a machine a node of a cluster whose server runs on
// another one.
//
// A token, which `knarr token create` prints, holds a bootstrap token (KEP-130)
// and the fingerprint of the cluster's authority. By the fingerprint the
// machine knows the server before it says a word (Discover); with the bootstrap
// token it reads what the cluster is like and asks for a node's certificate;
// with that it asks for the other ones (Enroll). Later the node renews all of
// them by itself (Renew). Keys are made here and never leave the machine.
//
// The server's part are package certificates of the controllers, which decides
// on the requests, and the roles knarr:join and knarr:node.
package join
