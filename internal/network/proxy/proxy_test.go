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
	refuse   atomic.Bool
	standing ruleset.Standing // at the start
	ports    sync.Map         // of the node, as NodePorts has them
	flows    sync.Map         // of UDP, that are tracked
}

func (k *table) forget(gone func(proxy.Flow) bool) error {
	k.flows.Range(func(f, _ any) bool {
		if gone(f.(proxy.Flow)) {
			k.flows.Delete(f)
		}
		return true
	})
	return nil
}

func flow(to, by string) proxy.Flow {
	return proxy.Flow{To: netip.MustParseAddrPort(to), By: netip.MustParseAddrPort(by)}
}

func (k *table) track(flows ...proxy.Flow) {
	for _, f := range flows {
		k.flows.Store(f, true)
	}
}

func (k *table) tracks(f proxy.Flow) bool {
	_, there := k.flows.Load(f)
	return there
}

// forgets waits until a flow has ended.
func (k *table) forgets(t *testing.T, f proxy.Flow) {
	t.Helper()
	await.Until(t, soon, fmt.Sprintf("the UDP flow %v is ended", f), func() bool { return !k.tracks(f) })
}

func (k *table) Current() (ruleset.Standing, error) { return k.standing, nil }

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
	return runProxy(t, kernel, cluster.Admin), cluster.Admin
}

func runProxy(t *testing.T, kernel *table, api *client.Client) *proxy.Proxy {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	all, own := client.NewInformers(api, log), client.NewInformers(api, log)
	p := proxy.New(proxy.Config{Node: "n1", Informers: all, Pods: own, Table: kernel, Logger: log,
		Forget: kernel.forget})
	testkit.Beside(t, p.Run, all, own)
	wait, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	if err := p.WaitSynced(wait); err != nil {
		t.Fatal(err)
	}
	return p
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

// serve makes a Service of the ports, and a slice of one endpoint that listens
// to the same ones.
func serve(t *testing.T, api *client.Client, name string, protocol corev1.Protocol, address string, ports ...int32) (*corev1.Service, *discoveryv1.EndpointSlice) {
	t.Helper()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}}},
	}
	for _, port := range ports {
		portName := fmt.Sprintf("p%d", port)
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: portName, Port: port, Protocol: protocol})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &portName, Port: &port, Protocol: &protocol})
	}
	svc, err := client.For[*corev1.Service](api).Create(t.Context(), svc)
	if err != nil {
		t.Fatal(err)
	}
	if slice, err = client.For[*discoveryv1.EndpointSlice](api).Create(t.Context(), slice); err != nil {
		t.Fatal(err)
	}
	return svc, slice
}

// change changes a slice.
func change(t *testing.T, api *client.Client, slice *discoveryv1.EndpointSlice, how func(*discoveryv1.EndpointSlice)) *discoveryv1.EndpointSlice {
	t.Helper()
	slice = slice.DeepCopy()
	how(slice)
	slice, err := client.For[*discoveryv1.EndpointSlice](api).Update(t.Context(), slice)
	if err != nil {
		t.Fatal(err)
	}
	return slice
}

// leads waits until the rules lead to the pod.
func leads(t *testing.T, p *proxy.Proxy, pod string) {
	t.Helper()
	await.Until(t, soon, "the rules lead to the endpoint", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		return p.WaitRemoved(ctx, netip.MustParseAddr(pod)) != nil
	})
}

// A pod that leaves a UDP Service leaves its flows, though another Service goes
// on sending it TCP.
func TestUDPFlowsEndWhereOtherServicesGoOn(t *testing.T) {
	kernel := &table{}
	p, api := start(t, kernel)
	const pod = "10.1.0.5"
	serve(t, api, "metrics", corev1.ProtocolTCP, pod, 80)
	svc, slice := serve(t, api, "game", corev1.ProtocolUDP, pod, 80)
	leads(t, p, pod)
	came := flow(svc.Spec.ClusterIP+":80", pod+":80")
	kernel.track(came)
	change(t, api, slice, func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = []string{"10.1.0.6"} })
	kernel.forgets(t, came)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.WaitRemoved(ctx, netip.MustParseAddr(pod)); err == nil {
		t.Error("no Service leads to the pod any more")
	}
}

// A pod that leaves one of its UDP Services leaves the flows of that one, and
// those alone; the Service may change or go. So it is with one of its ports.
func TestUDPFlowsOfOneServiceEnd(t *testing.T) {
	kernel := &table{}
	p, api := start(t, kernel)
	const pod, other = "10.1.0.5", "10.1.0.6"
	game, slice := serve(t, api, "game", corev1.ProtocolUDP, pod, 80, 81)
	voice, _ := serve(t, api, "voice", corev1.ProtocolUDP, pod, 80)
	names, _ := serve(t, api, "names", corev1.ProtocolUDP, pod, 80)
	slice = change(t, api, slice, func(s *discoveryv1.EndpointSlice) {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{other}})
	})
	leads(t, p, other)
	ofNames, ofVoice := flow(names.Spec.ClusterIP+":80", pod+":80"), flow(voice.Spec.ClusterIP+":80", pod+":80")
	first, second := flow(game.Spec.ClusterIP+":80", pod+":80"), flow(game.Spec.ClusterIP+":81", pod+":81")
	stays := flow(game.Spec.ClusterIP+":80", other+":80")
	kernel.track(ofNames, ofVoice, first, second, stays)
	// The second port's pods listen elsewhere from now on.
	slice = change(t, api, slice, func(s *discoveryv1.EndpointSlice) { *s.Ports[1].Port = 8081 })
	kernel.forgets(t, second)
	if !kernel.tracks(first) {
		t.Error("the flows of the other port ended too")
	}
	change(t, api, slice, func(s *discoveryv1.EndpointSlice) { s.Endpoints = s.Endpoints[1:] })
	kernel.forgets(t, first)
	if err := client.For[*corev1.Service](api).Delete(t.Context(), "default", "voice", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kernel.forgets(t, ofVoice)
	for _, f := range []proxy.Flow{ofNames, stays} {
		if !kernel.tracks(f) {
			t.Errorf("the flow %v ended too", f)
		}
	}
}

// The only endpoint gets flows to the last while it ends. When it is gone, so
// are they: the next one must get them.
func TestUDPFlowsEndWithAnEndpointThatServedToTheLast(t *testing.T) {
	kernel := &table{}
	p, api := start(t, kernel)
	const pod = "10.1.0.5"
	svc, slice := serve(t, api, "game", corev1.ProtocolUDP, pod, 80)
	leads(t, p, pod)
	yes, no := true, false
	slice = change(t, api, slice, func(s *discoveryv1.EndpointSlice) {
		s.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
	})
	if err := p.WaitRemoved(t.Context(), netip.MustParseAddr(pod)); err != nil {
		t.Fatal(err)
	}
	came := flow(svc.Spec.ClusterIP+":80", pod+":80")
	kernel.track(came)
	change(t, api, slice, func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil })
	kernel.forgets(t, came)
}

// What left while no agent was there to see it leaves no flows behind when one
// starts again. What leads somewhere goes on, and what is none of a Service.
func TestUDPFlowsThatWereLeftBehindEndAtTheStart(t *testing.T) {
	pick := func(set, addr string, port uint16) ruleset.Key {
		key := ruleset.Key{Set: set, Protocol: 17, Port: port}
		if addr != "" {
			key.Addr = netip.MustParseAddr(addr)
		}
		return key
	}
	kernel := &table{standing: ruleset.Standing{Elements: map[ruleset.Key]string{
		pick(ruleset.Picks, "10.96.0.20", 53):   ruleset.Pick(ruleset.ForCluster, 1),
		pick(ruleset.NodePicks, "", 30053):      ruleset.Pick(ruleset.ForNodePort, 1),
		pick(ruleset.Refused, "10.96.0.21", 53): "",
	}}}
	gone := []proxy.Flow{
		flow("10.96.0.20:53", "10.1.0.5:53"), flow("192.0.2.7:30053", "10.1.0.5:53"), flow("10.96.0.21:53", "10.1.0.6:53"),
	}
	others := []proxy.Flow{
		flow("192.0.2.53:53", "192.0.2.53:53"), flow("198.51.100.1:30053", "198.51.100.1:30053"), flow("10.96.0.22:53", "10.1.0.5:53"),
	}
	kernel.track(gone...)
	kernel.track(others...)
	p, api := start(t, kernel)
	for _, f := range gone {
		kernel.forgets(t, f)
	}
	for _, f := range others {
		if !kernel.tracks(f) {
			t.Errorf("the flow %v ended too", f)
		}
	}
	// A Service that is there at the start keeps its flows, and is met by those
	// that began before it.
	svc, _ := serve(t, api, "game", corev1.ProtocolUDP, "10.1.0.5", 80)
	leads(t, p, "10.1.0.5")
	kept, before := flow(svc.Spec.ClusterIP+":80", "10.1.0.5:80"), flow(svc.Spec.ClusterIP+":80", svc.Spec.ClusterIP+":80")
	left := flow(svc.Spec.ClusterIP+":80", "10.1.0.6:80")
	kernel.track(kept, before, left)
	runProxy(t, kernel, api)
	kernel.forgets(t, left)
	kernel.forgets(t, before)
	if !kernel.tracks(kept) {
		t.Error("the flow of a Service that stands ended")
	}
}

// A flow that began before its Service was there is ended also where the kernel
// refused the Service's rules at first.
func TestUDPFlowsFromBeforeEndAfterTheKernelRefused(t *testing.T) {
	kernel := &table{}
	p, api := start(t, kernel)
	svc, slice := serve(t, api, "game", corev1.ProtocolUDP, "10.1.0.5", 80)
	leads(t, p, "10.1.0.5")
	slice = change(t, api, slice, func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil })
	if err := p.WaitRemoved(t.Context(), netip.MustParseAddr("10.1.0.5")); err != nil {
		t.Fatal(err)
	}
	before := flow(svc.Spec.ClusterIP+":80", svc.Spec.ClusterIP+":80")
	kernel.track(before)
	kernel.refuse.Store(true)
	change(t, api, slice, func(s *discoveryv1.EndpointSlice) {
		s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.5"}}}
	})
	kernel.forgets(t, before)
	if kernel.refuse.Load() {
		t.Error("the kernel was not asked to change anything")
	}
}
