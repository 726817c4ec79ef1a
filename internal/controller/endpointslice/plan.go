package endpointslice

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

// mostEndpoints is how many endpoints a slice holds.
const mostEndpoints = 100

// plan is what is to be written.
type plan struct {
	create, update, remove []*discoveryv1.EndpointSlice
}

// reconcileSlices turns the slices that exist into what the Service's groups
// want, with few writes: endpoints stay where they are, new ones fill slices
// that are written anyway, then the fullest that has room for all of them.
func reconcileSlices(svc *corev1.Service, groups map[groupKey]*group, existing []*discoveryv1.EndpointSlice) plan {
	byGroup := map[groupKey][]*discoveryv1.EndpointSlice{}
	var p plan
	for _, slice := range existing {
		key := groupKey{family: slice.AddressType, ports: portKey(slice.Ports)}
		if groups[key] == nil {
			p.remove = append(p.remove, slice)
			continue
		}
		byGroup[key] = append(byGroup[key], slice)
	}
	for key, g := range groups {
		p.addGroup(svc, g, byGroup[key])
	}
	p.keepPlaceholder(svc, existing)
	return p
}

// keepPlaceholder leaves one empty slice per family for a Service without
// endpoints, so that readers can tell "none" from "not yet".
func (p *plan) keepPlaceholder(svc *corev1.Service, existing []*discoveryv1.EndpointSlice) {
	for _, family := range families(svc) {
		if p.holds(family, existing) {
			continue
		}
		empty := newSlice(svc, &group{family: family, ports: nil})
		i := slices.IndexFunc(p.remove, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == family })
		if i < 0 {
			p.create = append(p.create, empty)
			continue
		}
		kept := p.remove[i]
		p.remove = slices.Delete(p.remove, i, i+1)
		if len(kept.Endpoints) == 0 && len(kept.Ports) == 0 && maps.Equal(kept.Labels, empty.Labels) && ownedBy(svc, kept) {
			continue
		}
		changed := kept.DeepCopy()
		takeOver(svc, changed)
		changed.Endpoints, changed.Ports, changed.Labels = empty.Endpoints, nil, empty.Labels
		p.update = append(p.update, changed)
	}
}

// holds tells whether a slice of the family will be there.
func (p *plan) holds(family discoveryv1.AddressType, existing []*discoveryv1.EndpointSlice) bool {
	of := func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == family }
	removed := 0
	for _, s := range p.remove {
		if of(s) {
			removed++
		}
	}
	had := 0
	for _, s := range existing {
		if of(s) {
			had++
		}
	}
	return had > removed || slices.ContainsFunc(p.create, of)
}

// sliceState is a slice while it is worked on.
type sliceState struct {
	slice   *discoveryv1.EndpointSlice
	changed bool
}

func (p *plan) addGroup(svc *corev1.Service, g *group, have []*discoveryv1.EndpointSlice) {
	want := map[string]discoveryv1.Endpoint{}
	for _, ep := range g.endpoints {
		want[identity(ep)] = ep
	}
	states := make([]*sliceState, 0, len(have))
	for _, slice := range sortedSlices(have) {
		states = append(states, keep(svc, slice, want))
	}
	left := make([]discoveryv1.Endpoint, 0, len(want))
	for _, ep := range g.endpoints {
		if _, missing := want[identity(ep)]; missing {
			left = append(left, ep)
		}
	}
	left = fill(states, left)
	if len(left) > 0 {
		left = closest(states, left)
	}
	for len(left) > 0 {
		n := min(len(left), mostEndpoints)
		slice := newSlice(svc, g)
		slice.Endpoints = slices.Clone(left[:n])
		p.create = append(p.create, slice)
		left = left[n:]
	}
	p.collect(states)
}

// keep takes from want what the slice holds already, and drops from the slice
// what nobody wants.
func keep(svc *corev1.Service, slice *discoveryv1.EndpointSlice, want map[string]discoveryv1.Endpoint) *sliceState {
	out := slice.DeepCopy()
	st := &sliceState{slice: out}
	out.Endpoints = out.Endpoints[:0:0]
	for _, ep := range slice.Endpoints {
		fresh, ok := want[identity(ep)]
		if !ok {
			st.changed = true
			continue
		}
		delete(want, identity(ep))
		if !equality.Semantic.DeepEqual(fresh, ep) {
			st.changed = true
		}
		out.Endpoints = append(out.Endpoints, fresh)
	}
	if labels := labelsOf(svc); !maps.Equal(labels, slice.Labels) {
		out.Labels, st.changed = labels, true
	}
	if !ownedBy(svc, slice) {
		takeOver(svc, out)
		st.changed = true
	}
	return st
}

// ownedBy tells whether a slice is this very Service's: one of its name may
// have been there before, and its slices are about to be collected.
func ownedBy(svc *corev1.Service, slice *discoveryv1.EndpointSlice) bool {
	return slices.ContainsFunc(slice.OwnerReferences, func(ref metav1.OwnerReference) bool { return ref.UID == svc.UID })
}

func takeOver(svc *corev1.Service, slice *discoveryv1.EndpointSlice) {
	slice.OwnerReferences = []metav1.OwnerReference{own.Ref(svc, corev1.SchemeGroupVersion.WithKind("Service"))}
}

// fill puts endpoints into slices that are written anyway.
func fill(states []*sliceState, left []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	for _, st := range states {
		if !st.changed || len(st.slice.Endpoints) == 0 {
			continue
		}
		n := min(len(left), mostEndpoints-len(st.slice.Endpoints))
		st.slice.Endpoints = append(st.slice.Endpoints, left[:n]...)
		left = left[n:]
	}
	return left
}

// closest puts what is left of a slice's worth into the fullest slice that
// has room for it.
func closest(states []*sliceState, left []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	rest := len(left) % mostEndpoints
	if rest == 0 {
		return left
	}
	var best *sliceState
	for _, st := range states {
		room := mostEndpoints - len(st.slice.Endpoints)
		if room >= rest && (best == nil || len(st.slice.Endpoints) > len(best.slice.Endpoints)) {
			best = st
		}
	}
	if best == nil {
		return left
	}
	best.slice.Endpoints = append(best.slice.Endpoints, left[len(left)-rest:]...)
	best.changed = true
	return left[:len(left)-rest]
}

// collect sorts what became of the slices: emptied ones go.
func (p *plan) collect(states []*sliceState) {
	for _, st := range states {
		switch {
		case len(st.slice.Endpoints) == 0:
			p.remove = append(p.remove, st.slice)
		case st.changed:
			p.update = append(p.update, st.slice)
		}
	}
}

// identity is what makes two endpoints the same: the pod, else the address.
func identity(ep discoveryv1.Endpoint) string {
	out := ""
	if len(ep.Addresses) > 0 {
		out = ep.Addresses[0]
	}
	if ep.TargetRef != nil {
		out += "/" + string(ep.TargetRef.UID)
	}
	return out
}

func sortedSlices(in []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
