package servicecidr

import (
	"slices"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func cidr(name string, networks ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: networks}}
}

func address(name string) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{networkingv1.LabelManagedBy: managedBy}}}
}

func TestLifeOfARange(t *testing.T) {
	start := time.Unix(1000, 0)
	no, yes := func() bool { return false }, func() bool { return true }
	out := plan(cidr("a", "10.0.0.0/24"), start, no)
	if out.next == nil || !slices.Contains(out.next.Finalizers, Finalizer) || !meta.IsStatusConditionTrue(out.next.Status.Conditions, "Ready") {
		t.Fatalf("new: %+v", out.next)
	}
	made := out.next
	if out := plan(made, start, no); out.next != nil {
		t.Errorf("written twice: %+v", out.next)
	}
	going := made.DeepCopy()
	going.DeletionTimestamp = &metav1.Time{Time: start}
	out = plan(going, start.Add(time.Minute), yes)
	if c := meta.FindStatusCondition(out.next.Status.Conditions, "Ready"); c.Status != metav1.ConditionFalse || c.Reason != "Terminating" ||
		!slices.Contains(out.next.Finalizers, Finalizer) {
		t.Errorf("blocked: %+v", out.next)
	}
	if out := plan(going, start.Add(4*time.Second), no); out.next != nil || out.again != 6*time.Second {
		t.Errorf("within the grace time: %+v", out)
	}
	if out := plan(going, start.Add(10*time.Second), no); out.next == nil || len(out.next.Finalizers) != 0 {
		t.Errorf("free: %+v", out.next)
	}
}

func TestNeeded(t *testing.T) {
	foreign := address("10.0.0.5")
	foreign.Labels = nil
	for _, tc := range []struct {
		name   string
		others []*networkingv1.ServiceCIDR
		inUse  []*networkingv1.IPAddress
		want   bool
	}{
		{"unused", nil, []*networkingv1.IPAddress{address("10.9.0.5")}, false},
		{"used", nil, []*networkingv1.IPAddress{address("10.0.0.5")}, true},
		{"used by what is no Service", nil, []*networkingv1.IPAddress{foreign}, false},
		{"within a larger one", []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/16")}, []*networkingv1.IPAddress{address("10.0.0.5")}, false},
		{"the address is in a smaller one", []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/28")}, []*networkingv1.IPAddress{address("10.0.0.5")}, false},
		{"it is not", []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/30")}, []*networkingv1.IPAddress{address("10.0.0.5")}, true},
	} {
		r := cidr("a", "10.0.0.0/24")
		if got := needed(r, append(tc.others, r), tc.inUse); got != tc.want {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}
