package clients

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// candidate stands for election until the context ends. Once it leads it counts
// itself among the leaders; whoever ends its context takes it off before.
func candidate(ctx context.Context, t *testing.T, config *rest.Config, name string, leaders *atomic.Int32, leads chan<- string) {
	t.Helper()
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, "default", "helmsman",
		resourcelock.ResourceLockConfig{Identity: name}, config, time.Minute)
	if err != nil {
		t.Error(err)
		return
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock: lock, Name: name, ReleaseOnCancel: true,
		LeaseDuration: 2 * time.Minute, RenewDeadline: time.Minute, RetryPeriod: 100 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) {
				if n := leaders.Add(1); n != 1 {
					t.Errorf("%s leads beside %d others", name, n-1)
				}
				leads <- name
			},
			OnStoppedLeading: func() {},
		},
	})
}

// Of three candidates one leads at a time; where it steps down another takes
// over, until all have led.
func TestLeaderElection(t *testing.T) {
	config := start(t)
	api := kubernetes.NewForConfigOrDie(config)
	var leaders atomic.Int32
	leads, retire := make(chan string, 3), map[string]context.CancelFunc{}
	for i := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		name := fmt.Sprintf("candidate-%d", i)
		retire[name] = cancel
		go candidate(ctx, t, config, name, &leaders, leads)
	}
	led := map[string]bool{}
	for range 3 {
		var name string
		select {
		case name = <-leads:
		case <-time.After(patience):
			t.Fatalf("nobody leads after %v", led)
		}
		if led[name] {
			t.Errorf("%s leads again after it stepped down", name)
		}
		led[name] = true
		lease, err := api.CoordinationV1().Leases("default").Get(t.Context(), "helmsman", metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != name {
			t.Errorf("%s leads, but the lease says %+v, %v", name, lease.Spec, err)
		}
		leaders.Add(-1)
		retire[name]()
	}
}
