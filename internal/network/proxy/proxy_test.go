package proxy_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/proxy"
	"github.com/knarr-io/knarr/internal/network/ruleset"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const soon = 2 * time.Minute

// table takes every change, but refuses the next one when asked to.
type table struct{ refuse atomic.Bool }

func (k *table) Current() (ruleset.Standing, error) { return ruleset.Standing{}, nil }

func (k *table) Apply(ruleset.Change) error {
	if k.refuse.CompareAndSwap(true, false) {
		return errors.New("the test's kernel refuses")
	}
	return nil
}

// start runs a proxy of node n1 on a real API.
func start(t *testing.T, kernel proxy.Table) (*proxy.Proxy, *client.Client) {
	t.Helper()
	cluster := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	log := slog.New(slog.DiscardHandler)
	all, own := client.NewInformers(cluster.Admin, log), client.NewInformers(cluster.Admin, log)
	p := proxy.New(proxy.Config{Node: "n1", Informers: all, Pods: own, Table: kernel, Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	all.Start(ctx)
	own.Start(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		all.Wait()
		own.Wait()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	wait, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	if err := p.WaitSynced(wait); err != nil {
		t.Fatal(err)
	}
	return p, cluster.Admin
}

// Who waits until the rules lead to a pod no more is told so also where the
// kernel refused the change at first.
func TestRemovalsAreToldAfterTheKernelRefused(t *testing.T) {
	kernel := &table{}
	p, api := start(t, kernel)
	leaving := netip.MustParseAddr("10.1.0.5")
	if _, err := client.For[*corev1.Service](api).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}); err != nil {
		t.Fatal(err)
	}
	port, name := int32(80), ""
	slices := client.For[*discoveryv1.EndpointSlice](api)
	slice, err := slices.Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{leaving.String()}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, soon, "the rules lead to the endpoint", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		return p.WaitRemoved(ctx, leaving) != nil
	})
	kernel.refuse.Store(true)
	slice = slice.DeepCopy()
	slice.Endpoints = nil
	if _, err := slices.Update(t.Context(), slice); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := p.WaitRemoved(ctx, leaving); err != nil {
		t.Errorf("the end of a pod waits for rules that were applied: %v", err)
	}
	if kernel.refuse.Load() {
		t.Error("the kernel was not asked to change anything")
	}
}
