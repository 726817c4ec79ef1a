package policy

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// slow is a kernel in which nothing stands, which it says once it may.
type slow struct {
	Kernel
	may chan struct{}
}

func (s slow) Standing() (bool, error) {
	<-s.may
	return false, nil
}

// A policy that was there when a pod was to be admitted, and is gone before
// anybody looked, holds the pod up no longer.
func TestPoliciesThatCameAndWentHoldNobodyUp(t *testing.T) {
	const soon = 2 * time.Minute
	cluster := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	log := slog.New(slog.DiscardHandler)
	all, own := client.NewInformers(cluster.Admin, log), client.NewInformers(cluster.Admin, log)
	kernel := slow{may: make(chan struct{})}
	a := New(Config{Node: "n1", DNS: netip.MustParseAddr("10.96.0.10"), Client: cluster.Admin, Informers: all, Local: own, Kernel: kernel, Logger: log})
	testkit.Beside(t, a.Run, all, own)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()

	policies := client.For[*networkingv1.NetworkPolicy](cluster.Admin)
	p, err := policies.Create(t.Context(), &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "short"}})
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, soon, "the policy is known", func() bool { return a.policies.Len() == 1 })
	pod := rules.Key{Namespace: "default", Name: "web"}
	a.mu.Lock()
	a.admitted[pod] = admission{uid: "u"}
	a.mu.Unlock()
	admitted := make(chan error, 1)
	go func() {
		wanted := map[rules.Key]uint64{{Namespace: p.Namespace, Name: p.Name}: client.Revision(p)}
		admitted <- a.wait(ctx, func() bool { return a.enforcedLocked(pod, "u", netip.MustParseAddr("10.244.0.5"), wanted) })
	}()
	if err := policies.Delete(t.Context(), p.Namespace, p.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await.Until(t, soon, "the policy is known to be gone", func() bool { return a.policies.Len() == 0 })
	close(kernel.may)
	if err := <-admitted; err != nil {
		t.Errorf("a pod waits for a policy that is gone: %v", err)
	}
}
