package endpoints

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/controller/internal/selection"
)

const (
	managedLabel = "endpoints.kubernetes.io/managed-by"
	managedBy    = "endpoint-controller"
	// mostAddresses is what one Endpoints object holds; beyond it the
	// annotation says that addresses were left out.
	mostAddresses = 1000
)

// desired is the Endpoints object that the Service should have.
func desired(svc *corev1.Service, selected []*corev1.Pod) *corev1.Endpoints {
	out := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{
		Namespace: svc.Namespace, Name: svc.Name, Labels: labelsOf(svc), Annotations: map[string]string{},
	}}
	sorted := slices.Clone(selected)
	slices.SortFunc(sorted, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	var list subsets
	count := 0
	for _, pod := range sorted {
		if !serves(svc, pod) {
			continue
		}
		if count++; count > mostAddresses {
			out.Annotations[corev1.EndpointsOverCapacity] = "truncated"
			break
		}
		list.add(portsOf(svc, pod), addressOf(svc, pod), svc.Spec.PublishNotReadyAddresses || pods.Ready(pod))
	}
	out.Subsets = list.pack()
	return out
}

// serves tells whether a pod appears at all: this API cannot say
// "terminating", so that such a pod is left out.
func serves(svc *corev1.Service, pod *corev1.Pod) bool {
	return selection.Candidate(pod) && (pod.DeletionTimestamp == nil || svc.Spec.PublishNotReadyAddresses)
}

func labelsOf(svc *corev1.Service) map[string]string {
	out := maps.Clone(svc.Labels)
	if out == nil {
		out = map[string]string{}
	}
	delete(out, corev1.IsHeadlessService)
	if svc.Spec.ClusterIP == corev1.ClusterIPNone {
		out[corev1.IsHeadlessService] = ""
	}
	out[managedLabel] = managedBy
	return out
}

func addressOf(svc *corev1.Service, pod *corev1.Pod) corev1.EndpointAddress {
	out := corev1.EndpointAddress{
		IP: pod.Status.PodIP, Hostname: selection.Hostname(pod, svc),
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.NodeName != "" {
		node := pod.Spec.NodeName
		out.NodeName = &node
	}
	return out
}

func portsOf(svc *corev1.Service, pod *corev1.Pod) []corev1.EndpointPort {
	var out []corev1.EndpointPort
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if n, ok := selection.TargetPort(pod, p); ok {
			out = append(out, corev1.EndpointPort{Name: p.Name, Port: n, Protocol: p.Protocol, AppProtocol: p.AppProtocol})
		}
	}
	slices.SortStableFunc(out, func(a, b corev1.EndpointPort) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// subsets collects addresses by their ports.
type subsets struct{ list []corev1.EndpointSubset }

func (s *subsets) add(ports []corev1.EndpointPort, address corev1.EndpointAddress, ready bool) {
	i := slices.IndexFunc(s.list, func(have corev1.EndpointSubset) bool { return samePorts(have.Ports, ports) })
	if i < 0 {
		i = len(s.list)
		s.list = append(s.list, corev1.EndpointSubset{Ports: ports})
	}
	if ready {
		s.list[i].Addresses = append(s.list[i].Addresses, address)
	} else {
		s.list[i].NotReadyAddresses = append(s.list[i].NotReadyAddresses, address)
	}
}

func samePorts(a, b []corev1.EndpointPort) bool {
	return slices.EqualFunc(a, b, func(x, y corev1.EndpointPort) bool {
		return x.Name == y.Name && x.Port == y.Port && x.Protocol == y.Protocol && optional.Value(x.AppProtocol) == optional.Value(y.AppProtocol)
	})
}

// pack orders addresses by number, so that equal sets are equal objects.
func (s *subsets) pack() []corev1.EndpointSubset {
	byIP := func(a, b corev1.EndpointAddress) int { return cmp.Compare(a.IP, b.IP) }
	for i := range s.list {
		slices.SortStableFunc(s.list[i].Addresses, byIP)
		slices.SortStableFunc(s.list[i].NotReadyAddresses, byIP)
	}
	return s.list
}
