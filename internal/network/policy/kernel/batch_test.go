package kernel

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// However much comes before: a pod that gets other policies is never without
// any, between two batches either.
func TestSubjectsChangeInOneBatch(t *testing.T) {
	for before := batchSize - 8; before < batchSize; before++ {
		var batches [][2]int // elements that come and that go
		conn, err := nftables.New(nftables.WithTestDial(func(sent []netlink.Message) ([]netlink.Message, error) {
			var n [2]int
			for _, m := range sent {
				switch m.Header.Type {
				case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM:
					n[0]++
				case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELSETELEM:
					n[1]++
				}
			}
			if len(sent) > 0 {
				batches = append(batches, n)
			}
			return sent, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		a := netip.MustParseAddr("10.244.0.2")
		table := &Table{conn: conn, table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableNames[0]},
			kinds: map[string]rules.SetKind{}, self: map[netip.Addr]int{a: 2}}
		c := rules.Change{AddSets: map[string]rules.SetKind{}}
		for i := range before {
			c.AddSets[fmt.Sprint("set", i)] = rules.Addresses
		}
		for d := range 2 {
			c.DropSubjects[d], c.SetSubjects[d] = map[netip.Addr]string{a: "old"}, map[netip.Addr]string{a: "new"}
		}
		if err := table.Apply(c); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, n := range batches {
			total += n[0]
			if n[0] != n[1] {
				t.Errorf("after %d sets: %v subjects come and go in the batches", before, batches)
				break
			}
		}
		if total != 2 {
			t.Errorf("after %d sets: %v", before, batches)
		}
	}
}
