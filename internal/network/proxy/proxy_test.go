package proxy_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
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
type table struct {
	refuse atomic.Bool
	ports  sync.Map // of the node, as NodePorts has them
}

func (k *table) Current() (ruleset.Standing, error) { return ruleset.Standing{}, nil }

func (k *table) Apply(c ruleset.Change) error {
	if k.refuse.CompareAndSwap(true, false) {
		return errors.New("the test's kernel refuses")
	}
	for key := range c.SetKeys {
		if key.Set == ruleset.NodePorts {
			k.ports.Store(key.Port, true)
		}
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

// Host ports of sidecars count as those of containers do, those of other init
// containers do not: no scheduler keeps them free.
func TestHostPortsOfSidecars(t *testing.T) {
	kernel := &table{}
	_, api := start(t, kernel)
	always := corev1.ContainerRestartPolicyAlways
	port := func(n int32) []corev1.ContainerPort { return []corev1.ContainerPort{{HostPort: n, ContainerPort: n}} }
	if _, err := client.For[*corev1.ServiceAccount](api).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}); err != nil {
		t.Fatal(err)
	}
	pods := client.For[*corev1.Pod](api)
	pod, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}, Spec: corev1.PodSpec{
		NodeName: "n1",
		InitContainers: []corev1.Container{
			{Name: "once", Image: "i", Ports: port(8081)},
			{Name: "sidecar", Image: "i", Ports: port(8082), RestartPolicy: &always},
		},
		Containers: []corev1.Container{{Name: "c", Image: "i"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	pod = pod.DeepCopy()
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, "10.1.0.5", []corev1.PodIP{{IP: "10.1.0.5"}}
	if _, err := pods.UpdateStatus(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	await.Until(t, soon, "the sidecar's host port leads to it", func() bool {
		_, there := kernel.ports.Load(uint16(8082))
		return there
	})
	if _, there := kernel.ports.Load(uint16(8081)); there {
		t.Error("the host port of an init container leads to the pod")
	}
}
