// Package resourcemetrics answers metrics.k8s.io/v1beta1: what nodes and the
// containers of pods use of CPU and memory, as metrics-server would.
//
// The figures are made of two samples of a node, taken by its kubelet API
// (/metrics/resource) some 15 seconds apart. Nodes are asked only while
// somebody wants to know: the first question starts to follow the nodes that
// it is about, and is answered from two samples a second apart; who goes on
// asking (an autoscaler, every 15 seconds) gets what the regular samples say;
// a minute after the last question a node is left in peace. A container that
// started since the last sample makes its node be sampled again. The window of
// each figure tells how long a time it is about.
//
// Collector owns the samples. Windows and figures are pure functions of them.
package resourcemetrics
