package allocate

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// recording is an allocator over a store in memory.
func recording(t *testing.T) (*Services, Stored) {
	t.Helper()
	st, err := disk.Open(t.Context(), disk.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	kinds := catalog.New()
	objects, err := cache.Open(t.Context(), st, kinds.Kinds(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	stored := StoredIn(objects, kinds)
	s, err := New(Config{Network: netip.MustParsePrefix("10.0.0.0/29"), FirstPort: 30000, LastPort: 30009}, stored)
	if err != nil {
		t.Fatal(err)
	}
	return s, stored
}

func (s *Services) mustBegin(t *testing.T, svc, old *corev1.Service) func(bool) {
	t.Helper()
	finish, err := s.begin(t.Context(), &transaction{services: s, svc: svc, old: old})
	if err != nil {
		t.Fatal(err)
	}
	return finish
}

func TestAddressesAreRecorded(t *testing.T) {
	s, stored := recording(t)
	svc := service(corev1.ServiceTypeClusterIP)
	finish := s.mustBegin(t, svc, nil)
	item, found := stored.Addresses.Get("", svc.Spec.ClusterIP)
	if !found {
		t.Fatal("the address is not recorded before the Service is stored")
	}
	a := item.Object.(*networkingv1.IPAddress)
	if a.Labels[networkingv1.LabelManagedBy] != ManagedBy || a.Labels[networkingv1.LabelIPAddressFamily] != "IPv4" ||
		a.Spec.ParentRef.Resource != "services" || a.Spec.ParentRef.Namespace != "n" || a.Spec.ParentRef.Name != "s" || a.UID == "" {
		t.Errorf("recorded as %+v", a)
	}
	finish(true)
	external := svc.DeepCopy()
	external.Spec.Type = corev1.ServiceTypeExternalName
	s.mustBegin(t, external, svc)(true)
	if _, still := stored.Addresses.Get("", svc.Spec.ClusterIP); still || len(s.ips.taken) != 0 {
		t.Errorf("the record outlives its Service's address; taken: %v", s.ips.taken)
	}
	refused := service(corev1.ServiceTypeClusterIP)
	s.mustBegin(t, refused, nil)(false)
	if _, left := stored.Addresses.Get("", refused.Spec.ClusterIP); left || len(s.ips.taken) != 0 {
		t.Error("a write that failed leaves a record")
	}
}

func TestForeignRecordsKeepServicesAway(t *testing.T) {
	s, stored := recording(t)
	gateway := Record(service(corev1.ServiceTypeClusterIP), netip.MustParseAddr("10.0.0.3"))
	gateway.Spec.ParentRef = &networkingv1.ParentReference{Group: "example.com", Resource: "gateways", Name: "g"}
	gateway.UID = "g"
	item, err := stored.Addresses.Create(t.Context(), gateway)
	if err != nil {
		t.Fatal(err)
	}
	wish := service(corev1.ServiceTypeClusterIP)
	wish.Spec.ClusterIP = "10.0.0.3"
	// Once by the look at the store, once by what the hook was told.
	for range 2 {
		if _, err := s.begin(t.Context(), &transaction{services: s, svc: wish.DeepCopy()}); err == nil || !strings.Contains(err.Error(), "already allocated") {
			t.Errorf("got %v", err)
		}
		finish, err := s.Records().BeginCreate(t.Context(), gateway, false)
		if err != nil {
			t.Fatal(err)
		}
		finish(true)
	}
	if _, err := stored.Addresses.Delete(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	s.Records().AfterDelete(gateway)
	s.mustBegin(t, wish, nil)(true)

	// A restarted server knows both kinds of holders.
	again, err := New(s.config, stored)
	if err != nil {
		t.Fatal(err)
	}
	if again.ips.taken[netip.MustParseAddr("10.0.0.3")] != byRecord {
		t.Errorf("taken: %v", again.ips.taken)
	}
}

func TestSecondRangeCountsOnceItIsReady(t *testing.T) {
	s, stored := recording(t)
	for range 6 {
		svc := service(corev1.ServiceTypeClusterIP)
		s.mustBegin(t, svc, nil)(true)
	}
	second := &networkingv1.ServiceCIDR{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "ServiceCIDR"},
		ObjectMeta: metav1.ObjectMeta{Name: "second", UID: "u"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.1.0.0/28", "fd00::/112"}},
	}
	item, err := stored.Ranges.Create(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.begin(t.Context(), &transaction{services: s, svc: service(corev1.ServiceTypeClusterIP)}); err == nil {
		t.Fatal("an address was given from a range that is not ready")
	}
	update := func(change func(*networkingv1.ServiceCIDR)) {
		next := item.Object.(*networkingv1.ServiceCIDR).DeepCopy()
		change(next)
		if item, err = stored.Ranges.Update(context.Background(), item, api.Object(next)); err != nil {
			t.Fatal(err)
		}
	}
	update(func(r *networkingv1.ServiceCIDR) {
		r.Status.Conditions = []metav1.Condition{{Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue}}
	})
	svc := service(corev1.ServiceTypeClusterIP)
	s.mustBegin(t, svc, nil)(true)
	if !netip.MustParsePrefix("10.1.0.0/28").Contains(netip.MustParseAddr(svc.Spec.ClusterIP)) {
		t.Errorf("got %s", svc.Spec.ClusterIP)
	}
	now := metav1.Now()
	update(func(r *networkingv1.ServiceCIDR) { r.DeletionTimestamp, r.Finalizers = &now, []string{"x"} })
	if _, err := s.begin(t.Context(), &transaction{services: s, svc: service(corev1.ServiceTypeClusterIP)}); err == nil {
		t.Error("an address was given from a range that goes")
	}
}

func TestFirstAndLastOfARangeAreNotGiven(t *testing.T) {
	ranges := []netip.Prefix{netip.MustParsePrefix("10.0.0.8/29")}
	for text, want := range map[string]bool{"10.0.0.8": false, "10.0.0.9": true, "10.0.0.14": true, "10.0.0.15": false, "10.0.0.16": false} {
		if got := usable(netip.MustParseAddr(text), ranges); got != want {
			t.Errorf("%s usable: %t", text, got)
		}
	}
}
