package proxy_test

import (
	"context"
	"errors"
	"fmt"
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
	forgot sync.Map // whose UDP flows were ended
}

// flows are those from an address, and of a frontend where it is given.
type flows struct {
	from netip.Addr
	to   netip.AddrPort
}

func (k *table) forget(from netip.Addr, to netip.AddrPort) error {
	k.forgot.Store(flows{from, to}, true)
	return nil
}

// forgets waits until the UDP flows of an address were ended, again.
func (k *table) forgets(t *testing.T, address string) {
	t.Helper()
	k.forgetsFlows(t, flows{from: netip.MustParseAddr(address)})
}

func (k *table) forgetsFlows(t *testing.T, f flows) {
	t.Helper()
	await.Until(t, soon, fmt.Sprintf("the UDP flows %v are ended", f), func() bool {
		_, done := k.forgot.LoadAndDelete(f)
		return done
	})
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
func start(t *testing.T, kernel *table) (*proxy.Proxy, *client.Client) {
	t.Helper()
	cluster := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	log := slog.New(slog.DiscardHandler)
	all, own := client.NewInformers(cluster.Admin, log), client.NewInformers(cluster.Admin, log)
	p := proxy.New(proxy.Config{Node: "n1", Informers: all, Pods: own, Table: kernel, Logger: log,
		Forget: kernel.forget})
	testkit.Beside(t, p.Run, all, own)
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

// serve makes a Service with a slice of one endpoint.
func serve(t *testing.T, api *client.Client, name string, protocol corev1.Protocol, address string) (*corev1.Service, *discoveryv1.EndpointSlice) {
	t.Helper()
	svc, err := client.For[*corev1.Service](api).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, Protocol: protocol}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	port, portName := int32(80), ""
	slice, err := client.For[*discoveryv1.EndpointSlice](api).Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &portName, Port: &port, Protocol: &protocol}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return svc, slice
}

// A pod that leaves a UDP Service leaves its flows, though another Service goes
// on sending it TCP.
func TestUDPFlowsEndWhereOtherServicesGoOn(t *testing.T) {
	kernel := &table{}
	p, api := start(t, kernel)
	const pod = "10.1.0.5"
	serve(t, api, "metrics", corev1.ProtocolTCP, pod)
	svc, slice := serve(t, api, "game", corev1.ProtocolUDP, pod)
	kernel.forgets(t, svc.Spec.ClusterIP)
	slice = slice.DeepCopy()
	slice.Endpoints[0].Addresses = []string{"10.1.0.6"}
	if _, err := client.For[*discoveryv1.EndpointSlice](api).Update(t.Context(), slice); err != nil {
		t.Fatal(err)
	}
	kernel.forgets(t, pod)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.WaitRemoved(ctx, netip.MustParseAddr(pod)); err == nil {
		t.Error("no Service leads to the pod any more")
	}
}

// A pod that leaves one of its UDP Services leaves the flows of that one, and
// those alone; the Service may change or go.
func TestUDPFlowsOfOneServiceEnd(t *testing.T) {
	kernel := &table{}
	_, api := start(t, kernel)
	const pod = "10.1.0.5"
	address := netip.MustParseAddr(pod)
	game, slice := serve(t, api, "game", corev1.ProtocolUDP, pod)
	voice, _ := serve(t, api, "voice", corev1.ProtocolUDP, pod)
	kernel.forgets(t, game.Spec.ClusterIP)
	kernel.forgets(t, voice.Spec.ClusterIP)
	serve(t, api, "names", corev1.ProtocolUDP, pod)
	frontend := func(svc *corev1.Service) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(svc.Spec.ClusterIP), 80)
	}
	slice = slice.DeepCopy()
	slice.Endpoints[0].Addresses = []string{"10.1.0.6"}
	if _, err := client.For[*discoveryv1.EndpointSlice](api).Update(t.Context(), slice); err != nil {
		t.Fatal(err)
	}
	kernel.forgetsFlows(t, flows{address, frontend(game)})
	if err := client.For[*corev1.Service](api).Delete(t.Context(), "default", "voice", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kernel.forgetsFlows(t, flows{address, frontend(voice)})
	if _, all := kernel.forgot.Load(flows{from: address}); all {
		t.Error("the flows of the third Service ended too")
	}
}

// A flow that began before its Service was there is ended also where the kernel
// refused the Service's rules at first.
func TestUDPFlowsFromBeforeEndAfterTheKernelRefused(t *testing.T) {
	kernel := &table{}
	_, api := start(t, kernel)
	kernel.refuse.Store(true)
	svc, _ := serve(t, api, "game", corev1.ProtocolUDP, "10.1.0.5")
	kernel.forgets(t, svc.Spec.ClusterIP)
}
