// Package static reads the node's static pods: pods that are declared by
// manifests in a folder of this machine, and run whether or not the API
// answers. Decode and Mirror are pure; Source reads the folder and tells what
// it holds whenever that changes, by inotify.
//
// A pod is named NAME-NODE and its uid follows from the manifest, so that a
// changed manifest is another pod. The API sees a static pod as its mirror: a
// Pod whose annotation kubernetes.io/config.mirror holds that uid. Who runs the
// pods, and keeps the mirrors, is package worker.
//
// Source owns nothing but its watch.
package static
