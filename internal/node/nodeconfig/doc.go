// Package nodeconfig reads the node agent's settings from a file in upstream's
// format: KubeletConfiguration of kubelet.config.k8s.io/v1beta1.
//
// Parse is strict: what the format does not know, or has twice, is refused with
// its path. What the format knows and this agent has no use for is accepted and
// named in a warning, so that a file made for upstream's kubelet can be used as
// it is. Settings hold what is acted on, with upstream's defaults.
package nodeconfig
