// Package serviceip puts right what does not fit between Services and what is
// recorded of their addresses and ports: an address without its IPAddress gets
// one, an IPAddress of a Service that is gone or has another address goes, and
// what nobody can put right (one address or port of two Services, one outside
// of its range) is told by an event.
//
// It works at the start for everything and afterwards for what changes. It
// writes the IPAddresses that are labelled as the Service allocator's; the API
// server itself writes them with each Service, so that there is something to do
// only after a crash, a restored snapshot or somebody's hand.
package serviceip
