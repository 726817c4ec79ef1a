package statefulset

import (
	corev1 "k8s.io/api/core/v1"
)

// claimsOf are the claims that an ordinal has.
func (p *planner) claimsOf(ordinal int) []*corev1.PersistentVolumeClaim {
	var out []*corev1.PersistentVolumeClaim
	for i := range p.set.Spec.VolumeClaimTemplates {
		if c, ok := p.claim(claimName(p.set, &p.set.Spec.VolumeClaimTemplates[i], ordinal)); ok {
			out = append(out, c)
		}
	}
	return out
}

// missing are the claims that an ordinal needs and does not have.
func (p *planner) missing(ordinal int) []*corev1.PersistentVolumeClaim {
	if len(p.set.Spec.VolumeClaimTemplates) == 0 {
		return nil
	}
	var out []*corev1.PersistentVolumeClaim
	for _, c := range newClaims(p.set, ordinal) {
		if _, ok := p.claim(c.Name); !ok {
			out = append(out, c)
		}
	}
	return out
}

func (p *planner) anyStale(pod *corev1.Pod, ordinal int) bool {
	for _, c := range p.claimsOf(ordinal) {
		if stale(p.set, pod, ordinal, c) {
			return true
		}
	}
	return false
}

// own brings the owners of an ordinal's claims in line with the retention
// policy.
func (p *planner) own(pod *corev1.Pod, ordinal int) {
	for _, c := range p.claimsOf(ordinal) {
		changed, controlled := owned(p.set, pod, ordinal, c)
		switch {
		case controlled:
			p.do(foreign, pod, c)
		case changed != nil:
			p.do(disown, pod, changed)
		}
	}
}
