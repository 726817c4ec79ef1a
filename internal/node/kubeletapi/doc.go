// Package kubeletapi is the node's HTTPS API, as upstream's kubelet serves it
// on port 10250: container logs, exec, attach, port-forward, pods, health,
// settings, the machine's logs, statistics and metrics.
//
// Who may call is decided by the cluster: a caller shows a client certificate
// of the cluster's or a token that the API server knows, and the API server is
// asked whether that user may do to this node's subresource (proxy, log, stats,
// metrics, ...) what was asked; answers are kept for a short while. Streams are passed through to the URL
// that the runtime names, byte by byte, so that SPDY and WebSocket both work.
// The package owns no state but those answers.
package kubeletapi
