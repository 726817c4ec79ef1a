package rules_test

import (
	"fmt"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// opens is a policy for every pod of the namespace that opens a port.
func opens(i int) *networkingv1.NetworkPolicy {
	port := intstr.FromInt32(int32(1000 + i))
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: fmt.Sprint("p", i)}, Spec: networkingv1.NetworkPolicySpec{
		Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}}}}
}

// rulesOf counts the rules that a change has the kernel make.
func rulesOf(c rules.Change) (n int) {
	for _, chain := range c.SetChains {
		n += len(chain.Rules)
	}
	return n
}

// A pod that very many policies select: one more, or one less, is a small
// change, and all of them are asked.
func TestManyPoliciesOfOnePod(t *testing.T) {
	const many = 300
	b, k := rules.NewBook(), newKernel()
	b.SetPod(rules.Pod{Key: rules.Key{Namespace: "a", Name: "1"}, Addr: addr(1), Local: true})
	for i := range many {
		if err := b.SetPolicy(opens(i)); err != nil {
			t.Fatal(err)
		}
	}
	take := func(what string, most int) {
		t.Helper()
		c := b.Take()
		if n := rulesOf(c); most > 0 && n > most {
			t.Errorf("%s makes %d rules, want %d at most", what, n, most)
		}
		if err := k.apply(c); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := k.whole(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	opened := func(i int) bool {
		return k.allows(rules.Ingress, rules.Flow{Source: addr(2), Destination: addr(1), Protocol: 6, Port: uint16(1000 + i)})
	}
	take("everything", 0)
	for i := range many {
		if !opened(i) {
			t.Fatalf("policy %d is not asked", i)
		}
	}
	if opened(many) {
		t.Error("a port is open that no policy opens")
	}
	if err := b.SetPolicy(opens(many)); err != nil {
		t.Fatal(err)
	}
	take("one more policy", 80)
	if !opened(many) {
		t.Error("the last policy is not asked")
	}
	b.DropPolicy(rules.Key{Namespace: "a", Name: "p7"})
	take("one policy less", 80)
	if opened(7) || !opened(8) {
		t.Error("the policy that went is asked, or another one no longer")
	}
	b.DropPod(rules.Key{Namespace: "a", Name: "1"})
	take("the end", 0)
	if left := len(k.chains); left != 0 {
		t.Errorf("%d chains are left", left)
	}
}
