package ruleset

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/base/thread"
)

// Probe commits one table with every kind of rule that Knarr uses, in a
// network namespace of its own that goes at once, and so tells what the
// kernel lacks before anything of the machine is touched.
func Probe() error {
	return thread.Run(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		return probe()
	})
}

func probe() error {
	table, err := Open(Config{Pods: netip.MustParsePrefix("10.0.0.0/8")})
	if err != nil {
		return err
	}
	defer table.Close()
	yes := true
	clients := netip.MustParsePrefix("192.0.2.0/24")
	target := Target{Addr: netip.MustParseAddr("10.0.0.1"), Port: 80}
	return table.Apply(Change{
		SetChains: map[string]Chain{
			"svc-probe": {{Pods: &yes, Masquerade: true}, {Balance: []Target{target}}},
			"loc-probe": {{Balance: []Target{target}, Sticky: time.Minute}},
			"ext-probe": {{NodeItself: &yes, Goto: "svc-probe"}, {Clients: &clients, Goto: "loc-probe"}, {Drop: true}},
		},
		SetKeys: map[Key]string{
			{Set: Frontends, Addr: target.Addr, Protocol: unix.IPPROTO_TCP, Port: 80}: "svc-probe",
			{Set: NodePorts, Protocol: unix.IPPROTO_UDP, Port: 80}:                    "ext-probe",
			{Set: Refused, Addr: target.Addr, Protocol: unix.IPPROTO_TCP, Port: 81}:   "",
			{Set: RefusedPorts, Protocol: unix.IPPROTO_TCP, Port: 81}:                 "",
			{Set: Hairpin, Addr: target.Addr}:                                         "",

			{Set: Picks, Addr: target.Addr, Protocol: unix.IPPROTO_TCP, Port: 82}:   Pick(ForCluster, 1),
			{Set: Targets, Addr: target.Addr, Protocol: unix.IPPROTO_TCP, Port: 82}: target.String(),
			{Set: NodePicks, Protocol: unix.IPPROTO_TCP, Port: 82}:                  Pick(ForNodePort, 1),
			{Set: NodeTargets, Protocol: unix.IPPROTO_TCP, Port: 82}:                target.String(),
		},
	})
}
