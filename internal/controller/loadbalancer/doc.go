// Package loadbalancer gives Services of type LoadBalancer addresses on
// machines that have no cloud behind them: those of the nodes. The service
// proxy opens a Service's ports on these addresses, beside its node ports.
//
// One address and port can lead to one Service only. Who holds a port keeps
// it; of those who wait the oldest comes next, when everything that it asks
// for is free. Whoever waits is told by an event and by the condition
// LoadBalancerPortsError, and has no address until then.
//
// It writes status.loadBalancer, that condition and the clean-up finalizer of
// Services that name no load balancer class, or Class; Services of other
// classes are somebody else's and left alone.
package loadbalancer
