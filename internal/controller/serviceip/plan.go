package serviceip

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// managedBy is the label's value of IPAddresses that the allocator writes.
const managedBy = "ipallocator.k8s.io"

// complaint is an event about a Service.
type complaint struct{ reason, message string }

func complain(reason, format string, args ...any) complaint {
	return complaint{reason, fmt.Sprintf(format, args...)}
}

// world is what a Service is held against.
type world struct {
	ranges []netip.Prefix
	// record is the IPAddress of an address; nil: there is none.
	record func(netip.Addr) *networkingv1.IPAddress
	// service finds a Service; nil: there is none.
	service func(namespace, name string) *corev1.Service
	// portUsers are the Services that have a node port.
	portUsers           func(port int32) []*corev1.Service
	firstPort, lastPort int32
}

// outcome is what a Service needs.
type outcome struct {
	// create are IPAddresses that are missing, replace those that are wrong.
	create, replace []*networkingv1.IPAddress
	complaints      []complaint
}

// plan holds one Service against the world.
func plan(svc *corev1.Service, w world) outcome {
	var out outcome
	if svc.Spec.Type != corev1.ServiceTypeExternalName && svc.Spec.ClusterIP != corev1.ClusterIPNone {
		for _, text := range svc.Spec.ClusterIPs {
			out.address(svc, text, w)
		}
	}
	out.ports(svc, w)
	return out
}

func (o *outcome) address(svc *corev1.Service, text string, w world) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		o.complaints = append(o.complaints, complain("ClusterIPNotValid", "Cluster IP %s is not a valid IP; please recreate Service", text))
		return
	}
	family := familyOf(addr)
	if !slices.ContainsFunc(w.ranges, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		o.complaints = append(o.complaints, complain("ClusterIPOutOfRange",
			"Cluster IP [%v]: %s is not within any configured Service CIDR; please recreate service", family, addr))
		return
	}
	have := w.record(addr)
	if have == nil {
		o.complaints = append(o.complaints, complain("ClusterIPNotAllocated", "Cluster IP [%v]: %s is not allocated; repairing", family, addr))
		o.create = append(o.create, recordOf(svc, addr))
		return
	}
	if isOf(have, svc) {
		if !labelled(have, addr) {
			o.replace = append(o.replace, recordOf(svc, addr))
		}
		return
	}
	if other := parentOf(have, w); other != nil && slices.Contains(other.Spec.ClusterIPs, have.Name) {
		o.complaints = append(o.complaints, complain("ClusterIPAlreadyAllocated",
			"Cluster IP [%v]:%s was assigned to multiple services; please recreate service", family, addr))
		return
	}
	o.complaints = append(o.complaints, complain("ClusterIPNotAllocated",
		"the ClusterIP [%v]: %s for Service %s/%s has a wrong reference; repairing", family, addr, svc.Namespace, svc.Name))
	o.replace = append(o.replace, recordOf(svc, addr))
}

// ports tells of node ports that are not the Service's alone: of two Services
// with one port the younger is told.
func (o *outcome) ports(svc *corev1.Service, w world) {
	for _, port := range nodePorts(svc) {
		if port < w.firstPort || port > w.lastPort {
			o.complaints = append(o.complaints, complain("PortOutOfRange",
				"Port %d is not within the port range %d-%d; please recreate service", port, w.firstPort, w.lastPort))
			continue
		}
		if slices.ContainsFunc(w.portUsers(port), func(other *corev1.Service) bool { return other.UID != svc.UID && older(other, svc) }) {
			o.complaints = append(o.complaints, complain("PortAlreadyAllocated", "Port %d was assigned to multiple services; please recreate service", port))
		}
	}
}

func older(a, b *corev1.Service) bool {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c < 0
	}
	return a.UID < b.UID
}

// nodePorts are the ports that a Service holds, each once.
func nodePorts(svc *corev1.Service) []int32 {
	var out []int32
	for i := range svc.Spec.Ports {
		if p := svc.Spec.Ports[i].NodePort; p != 0 && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	if p := svc.Spec.HealthCheckNodePort; p != 0 && !slices.Contains(out, p) {
		out = append(out, p)
	}
	return out
}

// leaked says why an IPAddress of the allocator's should go; empty: it is
// wanted.
func leaked(a *networkingv1.IPAddress, w world) *complaint {
	if a.Labels[networkingv1.LabelManagedBy] != managedBy {
		return nil
	}
	ref := a.Spec.ParentRef
	if ref == nil || ref.Group != "" || ref.Resource != "services" {
		c := complain("IPAddressNotAllocated", "IPAddress %s appears to have been modified, not referencing a Service %v: cleaning up", a.Name, ref)
		return &c
	}
	svc := w.service(ref.Namespace, ref.Name)
	if svc == nil {
		c := complain("IPAddressNotAllocated", "IPAddress: %s for Service %s/%s appears to have leaked: cleaning up", a.Name, ref.Namespace, ref.Name)
		return &c
	}
	if !slices.Contains(svc.Spec.ClusterIPs, a.Name) {
		c := complain("IPAddressWrongReference", "IPAddress: %s for Service %s/%s has a wrong reference; cleaning up", a.Name, ref.Namespace, ref.Name)
		return &c
	}
	return nil
}

// requestTime is how long a request may take, and so the storing of a Service
// after the record of its address, on a disk that is slow.
const requestTime = time.Minute

// underWay is what is left of the time in which the Service that an address is
// for may still come, or get it; zero: it is over.
func underWay(a *networkingv1.IPAddress, w world, now time.Time) time.Duration {
	ref := a.Spec.ParentRef
	if ref == nil || ref.Group != "" || ref.Resource != "services" {
		return 0
	}
	if svc := w.service(ref.Namespace, ref.Name); svc != nil && svc.Spec.Type != corev1.ServiceTypeExternalName {
		return 0
	}
	return min(requestTime, requestTime-now.Sub(a.CreationTimestamp.Time))
}

func familyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func recordOf(svc *corev1.Service, addr netip.Addr) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: addr.String(), Labels: map[string]string{
			networkingv1.LabelIPAddressFamily: string(familyOf(addr)), networkingv1.LabelManagedBy: managedBy,
		}},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: svc.Namespace, Name: svc.Name}},
	}
}

func labelled(a *networkingv1.IPAddress, addr netip.Addr) bool {
	return a.Labels[networkingv1.LabelManagedBy] == managedBy && a.Labels[networkingv1.LabelIPAddressFamily] == string(familyOf(addr))
}

func isOf(a *networkingv1.IPAddress, svc *corev1.Service) bool {
	r := a.Spec.ParentRef
	return r != nil && r.Group == "" && r.Resource == "services" && r.Namespace == svc.Namespace && r.Name == svc.Name
}

// parentOf is the Service that an IPAddress names.
func parentOf(a *networkingv1.IPAddress, w world) *corev1.Service {
	r := a.Spec.ParentRef
	if r == nil || r.Group != "" || r.Resource != "services" {
		return nil
	}
	return w.service(r.Namespace, r.Name)
}
