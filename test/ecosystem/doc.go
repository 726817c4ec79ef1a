// Package ecosystem runs other people's operators on a cluster of two nodes,
// as pods, with their own manifests and charts, and holds what they do against
// what their users expect. Their programs are built from their Go modules,
// pinned in modules of their own below programs/, so that the versions which
// they choose do not lift Knarr's; their manifests are read from the module
// cache at run time, and none is kept here. The images are made by tools/image.
//
// `make ecosystem` runs everything and writes docs/ecosystem.md; `make test`
// runs the one operator that is our own, made with controller-runtime.
package ecosystem
