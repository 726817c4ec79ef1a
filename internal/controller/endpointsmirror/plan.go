package endpointsmirror

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

const (
	managedBy = "endpointslicemirroring-controller.k8s.io"
	// leaderAnnotation marks Endpoints that hold no addresses but a lock.
	leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"
	// mostAddresses is how many addresses of a subset are mirrored, and the
	// most that a slice holds.
	mostAddresses = 1000
)

// wanted tells whether the Endpoints ask to be mirrored.
func wanted(ep *corev1.Endpoints) bool {
	_, lock := ep.Annotations[leaderAnnotation]
	return !lock && ep.Labels[discoveryv1.LabelSkipMirror] != "true"
}

// group is what goes into one slice.
type group struct {
	family    discoveryv1.AddressType
	ports     []discoveryv1.EndpointPort
	endpoints []discoveryv1.Endpoint
}

// wish is what the slices should hold. skipped counts the addresses that
// they do not, invalid ones among them.
type wish struct {
	groups           []*group
	skipped, invalid int
}

// desired sorts the addresses by ports and address family.
func desired(ep *corev1.Endpoints) wish {
	var out wish
	for _, subset := range merge(ep.Subsets) {
		families := map[discoveryv1.AddressType]*group{}
		added := 0
		for i, address := range slices.Concat(subset.Addresses, subset.NotReadyAddresses) {
			family, valid := familyOf(address.IP)
			switch {
			case added >= mostAddresses:
				out.skipped++
				continue
			case !valid:
				out.invalid++
				out.skipped++
				continue
			}
			g := families[family]
			if g == nil {
				g = &group{family: family, ports: portsOf(subset.Ports)}
				families[family] = g
				out.groups = append(out.groups, g)
			}
			g.endpoints = append(g.endpoints, endpointOf(address, i < len(subset.Addresses)))
			added++
		}
	}
	return out
}

// merge joins subsets of the same ports; an address counts once, as not ready
// where any of them says so.
func merge(in []corev1.EndpointSubset) []corev1.EndpointSubset {
	byPorts := map[string]*corev1.EndpointSubset{}
	var order []string
	for _, s := range in {
		key := portKey(portsOf(s.Ports))
		if byPorts[key] == nil {
			byPorts[key] = &corev1.EndpointSubset{Ports: s.Ports}
			order = append(order, key)
		}
		to := byPorts[key]
		to.Addresses = append(to.Addresses, s.Addresses...)
		to.NotReadyAddresses = append(to.NotReadyAddresses, s.NotReadyAddresses...)
	}
	out := make([]corev1.EndpointSubset, 0, len(order))
	for _, key := range order {
		s := byPorts[key]
		seen := map[addressKey]bool{}
		s.NotReadyAddresses = once(s.NotReadyAddresses, seen)
		s.Addresses = once(s.Addresses, seen)
		out = append(out, *s)
	}
	return out
}

// addressKey is what makes two addresses the same.
type addressKey struct{ ip, uid string }

func once(in []corev1.EndpointAddress, seen map[addressKey]bool) []corev1.EndpointAddress {
	var out []corev1.EndpointAddress
	for _, a := range in {
		key := addressKey{ip: a.IP}
		if a.TargetRef != nil {
			key.uid = string(a.TargetRef.UID)
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, a)
		}
	}
	return out
}

func familyOf(ip string) (discoveryv1.AddressType, bool) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || addr.Zone() != "" {
		return "", false
	}
	if addr.Is4() || addr.Is4In6() {
		return discoveryv1.AddressTypeIPv4, true
	}
	return discoveryv1.AddressTypeIPv6, true
}

func endpointOf(address corev1.EndpointAddress, ready bool) discoveryv1.Endpoint {
	out := discoveryv1.Endpoint{
		Addresses:  []string{address.IP},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		TargetRef:  address.TargetRef.DeepCopy(), NodeName: address.NodeName,
	}
	if address.Hostname != "" {
		out.Hostname = &address.Hostname
	}
	return out
}

func portsOf(in []corev1.EndpointPort) []discoveryv1.EndpointPort {
	out := make([]discoveryv1.EndpointPort, 0, len(in))
	for _, p := range in {
		out = append(out, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol, AppProtocol: p.AppProtocol})
	}
	return out
}

// portKey is a list of ports in a form that can be compared, in whatever
// order they stand.
func portKey(ports []discoveryv1.EndpointPort) string {
	texts := make([]string, 0, len(ports))
	for _, p := range ports {
		text, err := json.Marshal(p)
		if err != nil { // names and numbers always encode
			continue
		}
		texts = append(texts, string(text))
	}
	slices.Sort(texts)
	out := ""
	for _, t := range texts {
		out += t
	}
	return out
}

// plan is what is to be written.
type plan struct {
	create, update, remove []*discoveryv1.EndpointSlice
}

// planFor gives each group one slice, of those that exist where one fits.
func planFor(ep *corev1.Endpoints, want wish, existing []*discoveryv1.EndpointSlice) plan {
	left := slices.SortedFunc(slices.Values(existing), func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
	var p plan
	var homeless []*group
	for _, g := range want.groups {
		key := portKey(g.ports)
		i := slices.IndexFunc(left, func(s *discoveryv1.EndpointSlice) bool {
			return s.AddressType == g.family && portKey(s.Ports) == key
		})
		if i < 0 {
			homeless = append(homeless, g)
			continue
		}
		p.refresh(ep, g, left[i])
		left = slices.Delete(left, i, i+1)
	}
	for _, g := range homeless { // a slice of other ports is turned into what is wanted
		i := slices.IndexFunc(left, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == g.family })
		if i < 0 {
			p.create = append(p.create, sliceOf(ep, g))
			continue
		}
		p.refresh(ep, g, left[i])
		left = slices.Delete(left, i, i+1)
	}
	p.remove = left
	return p
}

// refresh writes a slice again where it differs.
func (p *plan) refresh(ep *corev1.Endpoints, g *group, have *discoveryv1.EndpointSlice) {
	want := sliceOf(ep, g)
	if maps.Equal(have.Labels, want.Labels) && maps.Equal(have.Annotations, want.Annotations) && portKey(have.Ports) == portKey(want.Ports) &&
		sameEndpoints(have.Endpoints, want.Endpoints) && equality.Semantic.DeepEqual(have.OwnerReferences, want.OwnerReferences) {
		return
	}
	changed := have.DeepCopy()
	changed.Labels, changed.Annotations, changed.OwnerReferences = want.Labels, want.Annotations, want.OwnerReferences
	changed.Ports, changed.Endpoints = want.Ports, want.Endpoints
	p.update = append(p.update, changed)
}

// sameEndpoints compares without regard to order.
func sameEndpoints(a, b []discoveryv1.Endpoint) bool {
	sorted := func(in []discoveryv1.Endpoint) []discoveryv1.Endpoint {
		return slices.SortedStableFunc(slices.Values(in), func(x, y discoveryv1.Endpoint) int { return slices.Compare(x.Addresses, y.Addresses) })
	}
	return equality.Semantic.DeepEqual(sorted(a), sorted(b))
}

// sliceOf is the slice of a group, with the Endpoints' own labels and
// annotations but for those that say how these were written.
func sliceOf(ep *corev1.Endpoints, g *group) *discoveryv1.EndpointSlice {
	labels, annotations := maps.Clone(ep.Labels), maps.Clone(ep.Annotations)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[discoveryv1.LabelServiceName], labels[discoveryv1.LabelManagedBy] = ep.Name, managedBy
	delete(annotations, corev1.EndpointsLastChangeTriggerTime)
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ep.Namespace, GenerateName: ep.Name + "-", Labels: labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{own.Ref(ep, corev1.SchemeGroupVersion.WithKind("Endpoints"))},
		},
		AddressType: g.family, Ports: g.ports, Endpoints: g.endpoints,
	}
}
