package mirror

import (
	"context"
	"log/slog"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

// What changed while nobody looked counts once the cluster is known: what is
// gone goes, and a slice is with the Service that it is of now.
func TestCopyGivesWayToTheCluster(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	slice := func(service string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.5"}}},
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s", Labels: map[string]string{discoveryv1.LabelServiceName: service}}}
	}
	if _, err := client.For[*discoveryv1.EndpointSlice](c.Admin).Create(t.Context(), slice("new")); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	m := New("", log)
	m.Put(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gone"}})
	m.Put(slice("old"))
	inf := client.NewInformers(c.Admin, log)
	settle := m.Follow(inf)
	ctx, cancel := context.WithCancel(context.Background())
	inf.Start(ctx)
	t.Cleanup(func() {
		cancel()
		inf.Wait()
	})
	if err := settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Service(Key{"default", "gone"}); ok {
		t.Error("a Service that is gone is still known")
	}
	if old, now := len(m.Slices(Key{"default", "old"})), len(m.Slices(Key{"default", "new"})); old != 0 || now != 1 {
		t.Errorf("the slice counts %d times for its former Service and %d for its own", old, now)
	}
	if n := m.leaving.taking["10.1.0.5"]; n != 1 {
		t.Errorf("the address is in %d slices", n)
	}
}
