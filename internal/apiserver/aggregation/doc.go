// Package aggregation passes requests for some API groups on to other servers:
// those that an APIService of apiregistration.k8s.io names.
//
// Every version of a group has an APIService. For those that this server
// answers itself the package writes one, so that people see what there is; one
// with a Service is somebody else's, and wins over what is built in. Whether
// that server can be reached is asked every half minute, and whenever its
// Service or endpoints change; the answer is the condition Available, and what
// discovery shows of the group.
//
// Some versions this server answers by a handler of its own (Own), only as
// long as nobody else does: metrics.k8s.io, until a metrics server comes.
//
// The other server knows who asks by the headers X-Remote-*, for which the
// front proxy's client certificate vouches; authentication and authorization
// happened here before. Each server is asked by a goroutine and connections of
// its own: one that is slow or gone harms no other group.
//
// The package alone writes the status of APIServices, and those labelled as
// managed.
package aggregation
