// Package node is the node agent: what upstream calls the kubelet. It makes
// this machine a node of the cluster and runs the pods that are bound to it,
// by a container runtime that it drives through CRI.
//
// Start wires the parts together; each owns its own state:
//
//	register    the Node object, its status and lease
//	worker      the life of each pod (podstate is its pure core)
//	images      pulls and removal of images
//	static      the manifests of static pods
//	volumes     what lies on the disk for pods; objects, what it is made from
//	probe       questions to containers; lifecycle, their hooks
//	logs        reading and rotation of container logs
//	kubeletapi  the HTTPS API of the node; stats, its figures
//	cri         the connection to the runtime
//	render      pods in the runtime's words
//
// Stopping the agent stops no container: the next one adopts what runs.
package node
