// Package render turns a pod's spec into what the container runtime is asked
// for: sandbox and container configurations, environment, /etc/hosts, DNS,
// resources and security settings.
//
// Everything here is pure: objects, addresses and paths come in, CRI messages
// come out; nothing is read, waited for or kept. Field names, defaults and
// messages are those of upstream's kubelet, so that workloads and their logs
// look the same on both.
package render
