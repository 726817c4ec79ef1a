package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// NodeVolumeLimits keeps to the number of volumes that a CSI driver can attach
// to a node, as its CSINode tells.
type NodeVolumeLimits struct{ Volumes Volumes }

// csiVolume is a volume as a driver counts it.
type csiVolume struct{ driver, handle string }

// Name implements framework.Plugin.
func (*NodeVolumeLimits) Name() string { return "NodeVolumeLimits" }

// PreFilter implements framework.PreFilterer.
func (p *NodeVolumeLimits) PreFilter(c *framework.Cycle, pod *framework.Pod) *framework.Status {
	want := p.volumes(pod.Pod)
	if len(want) == 0 {
		return framework.Skipped()
	}
	c.Set(p.Name(), want)
	return nil
}

// volumes are those of a pod that drivers attach. One not made yet counts
// under its claim's name.
func (p *NodeVolumeLimits) volumes(pod *corev1.Pod) map[csiVolume]bool {
	out := map[csiVolume]bool{}
	for _, claim := range p.Volumes.claimsOf(pod) {
		if v := p.Volumes.boundVolume(claim); v != nil {
			if v.Spec.CSI != nil {
				out[csiVolume{v.Spec.CSI.Driver, v.Spec.CSI.VolumeHandle}] = true
			}
			continue
		}
		if class := p.Volumes.classOf(claim); class != nil && class.Provisioner != noProvisioner {
			out[csiVolume{class.Provisioner, claim.Namespace + "/" + claim.Name}] = true
		}
	}
	return out
}

// Filter implements framework.Filterer.
func (p *NodeVolumeLimits) Filter(c *framework.Cycle, _ *framework.Pod, node *framework.Node) *framework.Status {
	want, _ := c.Get(p.Name()).(map[csiVolume]bool)
	limits := p.limits(node.Name)
	if len(limits) == 0 || len(want) == 0 {
		return nil
	}
	there := map[csiVolume]bool{}
	node.EachPod(func(other *framework.Placed) bool {
		if len(other.Spec.Volumes) > 0 {
			for v := range p.volumes(other.Pod) {
				there[v] = true
			}
		}
		return true
	})
	count, more := map[string]int32{}, map[string]int32{}
	for v := range there {
		count[v.driver]++
	}
	for v := range want {
		if !there[v] {
			more[v.driver]++
		}
	}
	for driver, n := range more {
		if limit, limited := limits[driver]; limited && count[driver]+n > limit {
			return framework.Fail(p.Name(), framework.Unschedulable, "node(s) exceed max volume count")
		}
	}
	return nil
}

// limits are the node's volumes per driver.
func (p *NodeVolumeLimits) limits(node string) map[string]int32 {
	if p.Volumes.Node == nil {
		return nil
	}
	info := p.Volumes.Node(node)
	if info == nil {
		return nil
	}
	out := map[string]int32{}
	for _, d := range info.Spec.Drivers {
		if d.Allocatable != nil && d.Allocatable.Count != nil {
			out[d.Name] = *d.Allocatable.Count
		}
	}
	return out
}

// Hint implements framework.Hinter.
func (p *NodeVolumeLimits) Hint(_ *framework.Pod, ev framework.Event) bool { return useHint(ev) }
