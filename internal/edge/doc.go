// Package edge is the process that answers names and takes requests in: the
// cluster DNS and the Ingress, with no more rights than they need.
//
// It is a client of the API like any other (user system:knarr:edge, over
// HTTPS), runs as an unprivileged user on sockets that it was handed, and
// keeps a copy of what it last knew, so that names resolve and requests flow
// while the server restarts, or before it is there.
package edge
