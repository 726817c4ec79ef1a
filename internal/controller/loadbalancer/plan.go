package loadbalancer

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// Class may be named by a Service that wants this controller.
	Class = "knarr.io/node"
	// Finalizer keeps a Service until its addresses were taken back; the name
	// is that of upstream's service controller.
	Finalizer = "service.kubernetes.io/load-balancer-cleanup"
	// reasonConflict is why a Service has no address.
	reasonConflict = "PortConflict"
	// mostAddresses bounds what a status lists.
	mostAddresses = 32
)

// port is what two Services cannot both have.
type port struct {
	protocol corev1.Protocol
	number   int32
}

func (p port) String() string { return fmt.Sprintf("%s/%d", p.protocol, p.number) }

// wants tells whether a Service is to have addresses from here.
func wants(svc *corev1.Service) bool {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || svc.DeletionTimestamp != nil {
		return false
	}
	return svc.Spec.LoadBalancerClass == nil || *svc.Spec.LoadBalancerClass == Class
}

// foreign tells whether a Service is another implementation's.
func foreign(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.Spec.LoadBalancerClass != nil && *svc.Spec.LoadBalancerClass != Class
}

// holds tells whether a Service has a port already: its status says so.
func holds(svc *corev1.Service, p port) bool {
	if !wants(svc) || len(svc.Status.LoadBalancer.Ingress) == 0 {
		return false
	}
	return slices.ContainsFunc(svc.Status.LoadBalancer.Ingress[0].Ports, func(s corev1.PortStatus) bool {
		return s.Port == p.number && s.Protocol == p.protocol
	})
}

// portsOf are the ports that a Service asks for on the nodes' addresses.
func portsOf(svc *corev1.Service) []port {
	out := make([]port, 0, len(svc.Spec.Ports))
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		out = append(out, port{protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), number: p.Port})
	}
	return out
}

// older orders Services that ask for one port.
func older(a, b *corev1.Service) bool {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c < 0
	}
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name)) < 0
}

// view is what a decision about a Service looks at.
type view struct {
	// rivals are the Services that want a port here, the Service itself
	// among them.
	rivals func(port) []*corev1.Service
	// user says who has a port for another reason (a node port, a host port,
	// a program of the machine); empty: nobody. Who holds the port is not
	// asked about.
	user func(*corev1.Service, port) string
	// addresses are those of the nodes that take the Service's traffic.
	addresses []string
	now       metav1.Time
}

// conflict says why the Service cannot have its ports; empty: it can.
func (v view) conflict(svc *corev1.Service) string {
	for _, p := range portsOf(svc) {
		if by := v.usedBy(svc, p); by != "" {
			return fmt.Sprintf("port %s of the nodes is in use by %s", p, by)
		}
		for _, rival := range v.rivals(p) {
			if v.precedes(rival, svc, p) {
				return fmt.Sprintf("port %s of the nodes is in use by Service %s/%s", p, rival.Namespace, rival.Name)
			}
		}
	}
	return ""
}

// precedes tells whether a rival keeps the Service from a port that both want.
func (v view) precedes(rival, svc *corev1.Service, p port) bool {
	if rival.UID == svc.UID {
		return false
	}
	a, b := holds(rival, p), holds(svc, p)
	if a != b {
		return a
	}
	return older(rival, svc) && (a || !v.waits(rival))
}

func (v view) usedBy(svc *corev1.Service, p port) string {
	if holds(svc, p) {
		return ""
	}
	return v.user(svc, p)
}

// waits tells whether a Service without an address lacks one of its ports
// now, so that it keeps nobody from the others.
func (v view) waits(svc *corev1.Service) bool {
	for _, p := range portsOf(svc) {
		if v.usedBy(svc, p) != "" {
			return true
		}
		for _, rival := range v.rivals(p) {
			if rival.UID != svc.UID && holds(rival, p) {
				return true
			}
		}
	}
	return false
}

// outcome is what is to be written and said.
type outcome struct {
	next *corev1.Service // nil: as it stands
	// conflict is why there is no address; empty where nothing is in the way.
	conflict string
}

// plan decides about one Service.
func plan(svc *corev1.Service, v view) outcome {
	if foreign(svc) {
		return outcome{}
	}
	next := svc.DeepCopy()
	var out outcome
	if wants(svc) {
		if !slices.Contains(next.Finalizers, Finalizer) {
			next.Finalizers = append(next.Finalizers, Finalizer)
		}
		out.conflict = v.conflict(svc)
		setAddresses(next, v, out.conflict)
	} else {
		if !slices.Contains(svc.Finalizers, Finalizer) {
			return outcome{}
		}
		next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == Finalizer })
		next.Status.LoadBalancer = corev1.LoadBalancerStatus{}
		meta.RemoveStatusCondition(&next.Status.Conditions, corev1.LoadBalancerPortsError)
	}
	if !slices.Equal(svc.Finalizers, next.Finalizers) || !equality.Semantic.DeepEqual(svc.Status, next.Status) {
		out.next = next
	}
	return out
}

func setAddresses(svc *corev1.Service, v view, conflict string) {
	if conflict != "" {
		svc.Status.LoadBalancer = corev1.LoadBalancerStatus{}
		meta.SetStatusCondition(&svc.Status.Conditions, metav1.Condition{
			Type: corev1.LoadBalancerPortsError, Status: metav1.ConditionTrue, Reason: reasonConflict,
			Message: conflict, ObservedGeneration: svc.Generation, LastTransitionTime: v.now,
		})
		return
	}
	meta.RemoveStatusCondition(&svc.Status.Conditions, corev1.LoadBalancerPortsError)
	vip := corev1.LoadBalancerIPModeVIP
	ports := make([]corev1.PortStatus, 0, len(svc.Spec.Ports))
	for _, p := range portsOf(svc) {
		ports = append(ports, corev1.PortStatus{Port: p.number, Protocol: p.protocol})
	}
	var ingress []corev1.LoadBalancerIngress
	for _, address := range v.addresses {
		ingress = append(ingress, corev1.LoadBalancerIngress{IP: address, IPMode: &vip, Ports: ports})
	}
	svc.Status.LoadBalancer = corev1.LoadBalancerStatus{Ingress: ingress}
}
