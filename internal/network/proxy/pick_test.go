package proxy

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// numbered is one of many Services, with so many endpoints.
func numbered(i, endpoints int) (owner, Rendered) {
	svc := service()
	svc.Name = fmt.Sprintf("s%d", i)
	svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, int32(30000+i%2768)
	svc.Spec.ClusterIP = netip.AddrFrom4([4]byte{10, 96, byte(1 + i/250), byte(1 + i%250)}).String()
	svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	all := make([]discoveryv1.Endpoint, endpoints)
	for j := range all {
		all[j] = endpoint(netip.AddrFrom4([4]byte{10, 244, byte(j / 250), byte(2 + j%250)}).String(), true)
	}
	return owner{namespace: "ns", name: svc.Name}, RenderService(svc, []*discoveryv1.EndpointSlice{sliceOf(svc, all)}, Place{Node: "n1"})
}

// However large a Service grows, what the kernel holds is what was wanted.
func TestServiceGrowsAndShrinks(t *testing.T) {
	l := newLab(t)
	for _, n := range []int{1, 2, 1300, 3, 0, 2} {
		o, r := numbered(0, n)
		if err := l.table.Apply(l.book.set(o, r, newChange())); err != nil {
			t.Fatal(err)
		}
		standing, err := l.table.Current()
		if err != nil {
			t.Fatal(err)
		}
		if left := ruleset.Diff(standing, l.book.state()); !left.Empty() {
			t.Fatalf("%d endpoints: to set %v, to drop %v", n, left.SetKeys, left.DropKeys)
		}
	}
	if got := l.who(l.c, "10.96.1.1:80"); got != "ab" {
		t.Errorf("the endpoints that answer are %q", got)
	}
}

// A table that served many sizes of Services keeps few of their chains.
func TestUnusedSizesGo(t *testing.T) {
	l := newLab(t)
	for n := range 150 {
		o, r := numbered(0, 150-n)
		if err := l.table.Apply(l.book.set(o, r, newChange())); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.who(l.c, "10.96.1.1:80"); got != "a" {
		t.Errorf("the endpoint that answers is %q", got)
	}
	// A restarted process counts anew, and serves a size that stood before.
	l.table = l.open()
	if _, err := l.table.Current(); err != nil {
		t.Fatal(err)
	}
	o, r := numbered(0, 2)
	if err := l.table.Apply(l.book.set(o, r, newChange())); err != nil {
		t.Fatal(err)
	}
	if got := l.who(l.c, "10.96.1.1:80"); got != "ab" {
		t.Errorf("the endpoints that answer are %q", got)
	}
}
