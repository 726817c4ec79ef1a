package nodetest_test

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// A node whose runtime is away says so, and goes on to say that it lives.
func TestLeaseIsRenewedWithoutRuntime(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.kubelet.LeaseSeconds = 4
	w.start()
	leases := client.For[*coordinationv1.Lease](w.cluster.Admin)
	w.eventually("the node has a lease, which it gets after its status", func() bool {
		_, err := leases.Get(t.Context(), corev1.NamespaceNodeLease, "n1")
		return err == nil
	})
	renewed := func() time.Time {
		l, err := leases.Get(t.Context(), corev1.NamespaceNodeLease, "n1")
		if err != nil {
			t.Fatal(err)
		}
		return l.Spec.RenewTime.Time
	}
	w.runtime.Stop()
	w.eventually("the node is not ready", func() bool {
		n, err := client.For[*corev1.Node](w.cluster.Admin).Get(t.Context(), "", "n1")
		return err == nil && !nodeReady(n)
	})
	for range 2 {
		last := renewed()
		w.eventually("the lease is renewed", func() bool { return renewed().After(last) })
	}
}
