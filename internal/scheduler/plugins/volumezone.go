package plugins

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// VolumeZone keeps pods in the zones and regions that the labels of their
// volumes name.
type VolumeZone struct{ Volumes Volumes }

// place is a label of a volume with the values that it allows.
type volumePlace struct {
	key    string
	values map[string]bool
}

// zoneKeys are the labels, each with its older name.
func zoneKeys() []string {
	return []string{
		corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
		corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
	}
}

// Name implements framework.Plugin.
func (*VolumeZone) Name() string { return "VolumeZone" }

// PreFilter implements framework.PreFilterer.
func (p *VolumeZone) PreFilter(c *framework.Cycle, pod *framework.Pod) *framework.Status {
	var places []volumePlace
	for _, claim := range p.Volumes.claimsOf(pod.Pod) {
		volume := p.Volumes.boundVolume(claim)
		if volume == nil {
			continue // VolumeBinding's
		}
		for _, key := range zoneKeys() {
			if text, ok := volume.Labels[key]; ok {
				places = append(places, volumePlace{key: key, values: valuesOf(text)})
			}
		}
	}
	if len(places) == 0 {
		return framework.Skipped()
	}
	c.Set(p.Name(), places)
	return nil
}

// valuesOf reads a label that may name several zones.
func valuesOf(text string) map[string]bool {
	out := map[string]bool{}
	for _, v := range strings.Split(text, "__") {
		out[v] = true
	}
	return out
}

// Filter implements framework.Filterer. A node without any zone is let be.
func (p *VolumeZone) Filter(c *framework.Cycle, _ *framework.Pod, node *framework.Node) *framework.Status {
	places, _ := c.Get(p.Name()).([]volumePlace)
	zoned := false
	for _, key := range zoneKeys() {
		_, has := node.Labels[key]
		zoned = zoned || has
	}
	if !zoned {
		return nil
	}
	for _, place := range places {
		value, ok := node.Labels[place.key]
		if !ok {
			value, ok = node.Labels[otherName(place.key)]
		}
		if !ok || !place.values[value] {
			return framework.Fail(p.Name(), framework.Unresolvable, "node(s) had no available volume zone")
		}
	}
	return nil
}

// otherName is the newer name of an old label.
func otherName(key string) string {
	switch key {
	case corev1.LabelFailureDomainBetaZone:
		return corev1.LabelTopologyZone
	case corev1.LabelFailureDomainBetaRegion:
		return corev1.LabelTopologyRegion
	}
	return key
}

// Hint implements framework.Hinter.
func (p *VolumeZone) Hint(_ *framework.Pod, ev framework.Event) bool { return reachHint(ev) }
