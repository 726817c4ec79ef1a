// Package ruleset owns the nftables table of Services: its base chains, its
// named sets and maps, and the netlink batches that change them. Policies have
// another (internal/network/policy/kernel).
//
// The table is `ip knarr`. Packets meet it so:
//
//	prerouting, output (nat)   address . protocol . port -> @picks -> a kind -> @kinds -> its chain -> @targets
//	                           or -> @frontends -> a chain of the Service's own
//	                           protocol . port of the node -> @node-picks or @nodeports -> the same
//	forward, input, output     a frontend without endpoints is refused
//	postrouting (nat)          marked and hairpin traffic is masqueraded, as is
//	                           what leaves the pod network
//
// Nothing outside the table is touched. A change is one atomic batch, so that
// a packet meets either the old or the new rules; one that is too large for a
// batch is several, in an order in which nothing leads to what is not there.
// Installing the base again (after a restart) keeps what is in the sets and
// the proxy's chains.
package ruleset
