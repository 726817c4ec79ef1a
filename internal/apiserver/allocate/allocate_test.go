package allocate

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

func newServices(network string) *Services {
	config := Config{Network: netip.MustParsePrefix(network), FirstPort: 30000, LastPort: 30009}
	return &Services{config: config, ips: newAddresses(), ports: newPool(10, 0)}
}

func service(kind corev1.ServiceType, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "n"}, Spec: corev1.ServiceSpec{Type: kind, Ports: ports}}
}

func TestAddressesAreUniqueAndComeBack(t *testing.T) {
	s := newServices("10.0.0.0/29") // six addresses
	seen := map[string]bool{}
	var last *corev1.Service
	for range 6 {
		last = service(corev1.ServiceTypeClusterIP)
		finish, err := s.begin(context.Background(), &transaction{services: s, svc: last, old: nil})
		if err != nil {
			t.Fatal(err)
		}
		finish(true)
		if seen[last.Spec.ClusterIP] || !s.config.Network.Contains(netip.MustParseAddr(last.Spec.ClusterIP)) {
			t.Fatalf("got %s after %v", last.Spec.ClusterIP, seen)
		}
		seen[last.Spec.ClusterIP] = true
	}
	if _, err := s.begin(context.Background(), &transaction{services: s, svc: service(corev1.ServiceTypeClusterIP), old: nil}); err == nil {
		t.Fatal("a seventh address was found among six")
	}
	s.AfterDelete(last)
	again := service(corev1.ServiceTypeClusterIP)
	if _, err := s.begin(context.Background(), &transaction{services: s, svc: again, old: nil}); err != nil || again.Spec.ClusterIP != last.Spec.ClusterIP {
		t.Fatalf("the freed address is not given again: %s, %v", again.Spec.ClusterIP, err)
	}
}

func TestRefusals(t *testing.T) {
	s := newServices("10.0.0.0/24")
	taken := service(corev1.ServiceTypeNodePort, corev1.ServicePort{Port: 80, NodePort: 30001})
	taken.Spec.ClusterIP = "10.0.0.5"
	if _, err := s.begin(context.Background(), &transaction{services: s, svc: taken, old: nil}); err != nil {
		t.Fatal(err)
	}
	dual := corev1.IPFamilyPolicyRequireDualStack
	for want, change := range map[string]func(*corev1.Service){
		"provided IP is already allocated":        func(v *corev1.Service) { v.Spec.ClusterIP = "10.0.0.5" },
		"does not match the current range":        func(v *corev1.Service) { v.Spec.ClusterIP = "1.2.3.4" },
		"spec.ports[0].nodePort: Invalid value":   func(v *corev1.Service) { v.Spec.Ports[0].NodePort = 30001 },
		"The range of valid ports is 30000-30009": func(v *corev1.Service) { v.Spec.Ports[0].NodePort = 80 },
		"not configured for dual-stack":           func(v *corev1.Service) { v.Spec.IPFamilyPolicy = &dual },
		"not configured on this cluster":          func(v *corev1.Service) { v.Spec.IPFamilies = []corev1.IPFamily{"IPv6"} },
		"spec.clusterIPs[0]: Invalid value":       func(v *corev1.Service) { v.Spec.ClusterIP = "fd00::1" },
	} {
		svc := service(corev1.ServiceTypeNodePort, corev1.ServicePort{Port: 80})
		change(svc)
		if _, err := s.begin(context.Background(), &transaction{services: s, svc: svc, old: nil}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if len(s.ips.taken) != 1 || len(s.ports.taken) != 1 {
		t.Fatalf("refused writes keep %v, %v", s.ips.taken, s.ports.taken)
	}
}

func TestOnePortOverTwoProtocolsSharesItsNodePort(t *testing.T) {
	s := newServices("10.0.0.0/24")
	svc := service(corev1.ServiceTypeNodePort, corev1.ServicePort{Port: 53, Protocol: "TCP"}, corev1.ServicePort{Port: 53, Protocol: "UDP"})
	if _, err := s.begin(context.Background(), &transaction{services: s, svc: svc, old: nil}); err != nil {
		t.Fatal(err)
	}
	if a, b := svc.Spec.Ports[0].NodePort, svc.Spec.Ports[1].NodePort; a == 0 || a != b {
		t.Fatalf("node ports %d and %d", a, b)
	}
}

func TestDryRunTakesNothing(t *testing.T) {
	s := newServices("10.0.0.0/24")
	svc := service(corev1.ServiceTypeNodePort, corev1.ServicePort{Name: "a", Port: 80}, corev1.ServicePort{Name: "b", Port: 81})
	finish, err := s.begin(context.Background(), &transaction{services: s, svc: svc, dryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	finish(false)
	if svc.Spec.Ports[0].NodePort != 32769 || svc.Spec.Ports[1].NodePort != 32770 || len(s.ports.taken) != 0 {
		t.Fatalf("shown %v, taken %v", svc.Spec.Ports, s.ports.taken)
	}
}

func TestChangingTheTypeGivesBack(t *testing.T) {
	s := newServices("10.0.0.0/24")
	old := service(corev1.ServiceTypeNodePort, corev1.ServicePort{Port: 80})
	finish, err := s.begin(context.Background(), &transaction{services: s, svc: old, old: nil})
	if err != nil {
		t.Fatal(err)
	}
	finish(true)
	next := old.DeepCopy()
	next.Spec.Type = corev1.ServiceTypeExternalName
	next.Spec.Ports[0].NodePort = 0
	finish, err = s.begin(context.Background(), &transaction{services: s, svc: next, old: old})
	if err != nil {
		t.Fatal(err)
	}
	finish(true)
	if len(s.ips.taken) != 0 || len(s.ports.taken) != 0 || next.Spec.ClusterIP != "" {
		t.Fatalf("still held: %v, %v, %q", s.ips.taken, s.ports.taken, next.Spec.ClusterIP)
	}
}

// What is taken is always exactly what the stored Services hold.
func TestTakenIsWhatIsHeld(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		s := newServices("10.0.0.0/28")
		held := map[string]*corev1.Service{}
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name")
			stored := rapid.Bool().Draw(t, "stored")
			old := held[name]
			if old != nil && rapid.Bool().Draw(t, "delete") {
				s.AfterDelete(old)
				delete(held, name)
				continue
			}
			svc := service(rapid.SampledFrom([]corev1.ServiceType{"ClusterIP", "NodePort", "LoadBalancer"}).Draw(t, "type"), corev1.ServicePort{Port: int32(80 + i)})
			if old != nil {
				svc.Spec.ClusterIP, svc.Spec.ClusterIPs = old.Spec.ClusterIP, old.Spec.ClusterIPs
			}
			finish, err := s.begin(context.Background(), &transaction{services: s, svc: svc, old: old})
			if err != nil {
				continue
			}
			finish(stored)
			if stored {
				held[name] = svc
			}
		}
		ips, ports := map[string]bool{}, map[int32]bool{}
		for _, svc := range held {
			ips[svc.Spec.ClusterIP] = true
			for _, p := range portsOf(svc) {
				ports[p] = true
			}
		}
		if len(ips) != len(s.ips.taken) || len(ports) != len(s.ports.taken) {
			t.Fatalf("%d addresses and %d ports are held, %d and %d taken", len(ips), len(ports), len(s.ips.taken), len(s.ports.taken))
		}
	})
}
