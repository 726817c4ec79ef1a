// Package resourceclaim makes the claims for devices that pods ask for by
// templates, and takes claims back from pods that need them no more (KEP-4381).
//
// plan_pod.go and plan_claim.go are pure. The controller creates claims, names
// them in the pods' status.resourceClaimStatuses, reserves allocated claims
// for pods that have their node without the scheduler, takes reservations,
// allocations and the finalizer off claims whose last consumer is done, and
// deletes generated claims of pods that will not run. Allocating is the
// scheduler's.
//
// A claim is made once for each entry of a pod: the controller looks at a pod
// again only when its informer shows the claims that it made before.
package resourceclaim
