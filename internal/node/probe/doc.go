// Package probe asks containers how they are: by a command, an HTTP or gRPC
// request, or a TCP connection, at the times that their probes say.
//
// A Runner owns one probe of one container instance: one goroutine that ends
// with its context. It reports only changes of the verdict, after the
// thresholds of successes and failures; what follows from them is the pod
// worker's decision.
package probe
