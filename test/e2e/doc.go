// Package e2e tests knarr whole: a real cluster with real containers, driven
// as people drive it, with kubectl and over the network. One cluster serves
// the tests; those that break things bring their own state back. The machine
// must be as it was when the last test has ended.
//
//	go test ./test/e2e -knarr=$PWD/bin/knarr -images=$PWD/bin/images
//
// They need root, and fail where they cannot run.
package e2e
