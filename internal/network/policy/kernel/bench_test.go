package kernel_test

import (
	"fmt"
	"net/netip"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/network/nettest"
	"github.com/knarr-io/knarr/internal/network/policy/kernel"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// crowd is a node with 110 pods in eleven namespaces among 2,000 of the
// cluster, and n policies, each of which selects a tenth of a namespace's pods
// and allows others of it.
func crowd(b *testing.B, n int) (*rules.Book, *kernel.Table) {
	b.Helper()
	space := nettest.New(b)
	table, err := kernel.Open(kernel.Config{Pods: netip.MustParsePrefix("10.0.0.0/8"), PodLinks: "kn", NetNS: space.FD()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = table.Close() })
	book := rules.NewBook()
	for i := range 11 {
		book.SetNamespace(fmt.Sprint("n", i), labels.Set{"n": fmt.Sprint(i)})
	}
	for i := range 2000 {
		book.SetPod(onePod(i))
	}
	for i := range n {
		if err := book.SetPolicy(onePolicy(i, 80)); err != nil {
			b.Fatal(err)
		}
	}
	if err := table.Rebuild(book.Whole(), netip.MustParseAddr("10.0.0.1")); err != nil {
		b.Fatal(err)
	}
	return book, table
}

func onePod(i int) rules.Pod {
	return rules.Pod{Key: rules.Key{Namespace: fmt.Sprint("n", i%11), Name: fmt.Sprint("p", i)}, Labels: labels.Set{"app": fmt.Sprint(i / 11 % 10)},
		Addr: netip.AddrFrom4([4]byte{10, 1, byte(i / 250), byte(i % 250)}), Local: i < 110}
}

func onePolicy(i, to int) *networkingv1.NetworkPolicy {
	app := func(n int) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint(n % 10)}}
	}
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprint("n", i%11), Name: fmt.Sprint("q", i)}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: *app(i / 11), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: app(i/11 + 1)}},
			Ports: []networkingv1.NetworkPolicyPort{tcpPort(to)}}}}}
}

func commit(b *testing.B, book *rules.Book, table *kernel.Table) {
	b.Helper()
	if err := table.Apply(book.Take()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkChange is the time from a change to the kernel's commit, among
// 1,000 and 4,000 policies.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1000, 4000} {
		book, table := crowd(b, n)
		b.Run(fmt.Sprintf("policy/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if err := book.SetPolicy(onePolicy(0, 81+i%2)); err != nil {
					b.Fatal(err)
				}
				commit(b, book, table)
			}
		})
		b.Run(fmt.Sprintf("policy comes and goes/%d", n), func(b *testing.B) {
			for b.Loop() {
				if err := book.SetPolicy(onePolicy(n, 80)); err != nil {
					b.Fatal(err)
				}
				commit(b, book, table)
				book.DropPolicy(rules.Key{Namespace: fmt.Sprint("n", n%11), Name: fmt.Sprint("q", n)})
				commit(b, book, table)
			}
		})
		b.Run(fmt.Sprintf("local pod comes and goes/%d", n), func(b *testing.B) {
			p := onePod(4)
			p.Name, p.Addr = "new", netip.MustParseAddr("10.2.0.1")
			for b.Loop() {
				book.SetPod(p)
				commit(b, book, table)
				book.DropPod(p.Key)
				commit(b, book, table)
			}
		})
		b.Run(fmt.Sprintf("distant pod comes and goes/%d", n), func(b *testing.B) {
			p := onePod(4)
			p.Name, p.Addr, p.Local = "new", netip.MustParseAddr("10.2.0.1"), false
			for b.Loop() {
				book.SetPod(p)
				commit(b, book, table)
				book.DropPod(p.Key)
				commit(b, book, table)
			}
		})
		b.Run(fmt.Sprintf("everything/%d", n), func(b *testing.B) {
			for b.Loop() {
				if err := table.Rebuild(book.Whole(), netip.MustParseAddr("10.0.0.1")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
