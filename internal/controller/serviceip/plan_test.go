package serviceip

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func service(name, address string, nodePorts ...int32) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(time.Unix(1, 0))}}
	svc.Spec.ClusterIP, svc.Spec.ClusterIPs = address, []string{address}
	for _, p := range nodePorts {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{NodePort: p})
	}
	return svc
}

func worldOf(records []*networkingv1.IPAddress, services ...*corev1.Service) world {
	return world{
		ranges: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}, firstPort: 30000, lastPort: 32767,
		record: func(addr netip.Addr) *networkingv1.IPAddress {
			for _, a := range records {
				if a.Name == addr.String() {
					return a
				}
			}
			return nil
		},
		service: func(namespace, name string) *corev1.Service {
			for _, s := range services {
				if s.Namespace == namespace && s.Name == name {
					return s
				}
			}
			return nil
		},
		portUsers: func(port int32) (out []*corev1.Service) {
			for _, s := range services {
				for _, p := range nodePorts(s) {
					if p == port {
						out = append(out, s)
					}
				}
			}
			return out
		},
	}
}

func TestPlan(t *testing.T) {
	web, twin := service("web", "10.96.0.7"), service("twin", "10.96.0.7")
	gateway := recordOf(web, netip.MustParseAddr("10.96.0.7"))
	gateway.Spec.ParentRef = &networkingv1.ParentReference{Group: "example.com", Resource: "gateways", Name: "g"}
	unlabelled := recordOf(web, netip.MustParseAddr("10.96.0.7"))
	unlabelled.Labels = nil
	headless := service("db", corev1.ClusterIPNone)
	late := service("late", "10.96.0.8", 30001)
	late.CreationTimestamp = metav1.NewTime(time.Unix(9, 0))
	for _, tc := range []struct {
		name            string
		svc             *corev1.Service
		records         []*networkingv1.IPAddress
		others          []*corev1.Service
		create, replace int
		complaints      []string
	}{
		{name: "as it should be", svc: web, records: []*networkingv1.IPAddress{recordOf(web, netip.MustParseAddr("10.96.0.7"))}},
		{name: "headless", svc: headless},
		{name: "not recorded", svc: web, create: 1, complaints: []string{"ClusterIPNotAllocated"}},
		{name: "out of every range", svc: service("far", "10.1.0.7"), complaints: []string{"ClusterIPOutOfRange"}},
		{name: "no address", svc: service("odd", "nonsense"), complaints: []string{"ClusterIPNotValid"}},
		{name: "another resource's", svc: web, records: []*networkingv1.IPAddress{gateway}, replace: 1, complaints: []string{"ClusterIPNotAllocated"}},
		{name: "another Service's", svc: twin, others: []*corev1.Service{web},
			records: []*networkingv1.IPAddress{recordOf(web, netip.MustParseAddr("10.96.0.7"))}, complaints: []string{"ClusterIPAlreadyAllocated"}},
		{name: "a gone Service's", svc: twin, replace: 1,
			records: []*networkingv1.IPAddress{recordOf(web, netip.MustParseAddr("10.96.0.7"))}, complaints: []string{"ClusterIPNotAllocated"}},
		{name: "labels", svc: web, records: []*networkingv1.IPAddress{unlabelled}, replace: 1},
		{name: "ports", svc: late, others: []*corev1.Service{service("first", "10.96.0.9", 30001)},
			records: []*networkingv1.IPAddress{recordOf(late, netip.MustParseAddr("10.96.0.8"))}, complaints: []string{"PortAlreadyAllocated"}},
		{name: "port out of range", svc: service("p", corev1.ClusterIPNone, 80), complaints: []string{"PortOutOfRange"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := plan(tc.svc, worldOf(tc.records, append(tc.others, tc.svc)...))
			var reasons []string
			for _, c := range out.complaints {
				reasons = append(reasons, c.reason)
			}
			if diff := cmp.Diff(tc.complaints, reasons); diff != "" || len(out.create) != tc.create || len(out.replace) != tc.replace {
				t.Errorf("create %d, replace %d, complaints (-want +got):\n%s", len(out.create), len(out.replace), diff)
			}
		})
	}
}

func TestLeaked(t *testing.T) {
	web := service("web", "10.96.0.7")
	w := worldOf(nil, web)
	strange := recordOf(web, netip.MustParseAddr("10.96.0.7"))
	strange.Spec.ParentRef.Resource = "gateways"
	mine := strange.DeepCopy()
	mine.Labels = nil
	for name, tc := range map[string]struct {
		address *networkingv1.IPAddress
		want    string
	}{
		"wanted":         {recordOf(web, netip.MustParseAddr("10.96.0.7")), ""},
		"other address":  {recordOf(web, netip.MustParseAddr("10.96.0.8")), "IPAddressWrongReference"},
		"no Service":     {recordOf(service("gone", ""), netip.MustParseAddr("10.96.0.8")), "IPAddressNotAllocated"},
		"other resource": {strange, "IPAddressNotAllocated"},
		"somebody's own": {mine, ""},
	} {
		got := ""
		if c := leaked(tc.address, w); c != nil {
			got = c.reason
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
