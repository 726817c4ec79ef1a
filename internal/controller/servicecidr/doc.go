// Package servicecidr keeps the state of ServiceCIDRs (KEP-1880): a range is
// Ready once it has its finalizer, and one that is being deleted stays, not
// ready, as long as it is the only one that covers an address in use.
//
// It writes the finalizer and the Ready condition of ServiceCIDRs; the
// condition of the cluster's first range is the API server's until the range
// is deleted.
package servicecidr
