package plugins

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// What users read where another pod has the volume.
const (
	claimTaken = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
	diskTaken  = "node(s) had no available disk"
)

// VolumeRestrictions keeps a second pod from a ReadWriteOncePod claim
// (KEP-2485), and pods from disks that one node cannot attach twice.
type VolumeRestrictions struct{ Volumes Volumes }

// restrictionState counts the other users of the pod's exclusive claims.
type restrictionState struct {
	exclusive []string // claim names
	users     int
	disks     bool
}

// Name implements framework.Plugin.
func (*VolumeRestrictions) Name() string { return "VolumeRestrictions" }

// PreFilter implements framework.PreFilterer.
func (p *VolumeRestrictions) PreFilter(c *framework.Cycle, pod *framework.Pod) *framework.Status {
	s := &restrictionState{}
	for _, claim := range p.Volumes.claimsOf(pod.Pod) {
		if slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteOncePod) {
			s.exclusive = append(s.exclusive, claim.Name)
		}
	}
	for i := range pod.Spec.Volumes {
		s.disks = s.disks || singleDisk(&pod.Spec.Volumes[i])
	}
	if len(s.exclusive) == 0 && !s.disks {
		return framework.Skipped()
	}
	if len(s.exclusive) > 0 {
		for _, n := range c.View.Nodes {
			n.EachPod(func(other *framework.Placed) bool {
				s.users += s.uses(pod, other)
				return true
			})
		}
	}
	c.Set(p.Name(), s)
	return nil
}

// uses is how many of the pod's exclusive claims another pod has.
func (s *restrictionState) uses(pod *framework.Pod, other *framework.Placed) int {
	if other.Namespace != pod.Namespace {
		return 0
	}
	n := 0
	for i := range other.Spec.Volumes {
		if name := claimName(other.Pod, &other.Spec.Volumes[i]); name != "" && slices.Contains(s.exclusive, name) {
			n++
		}
	}
	return n
}

// Adjust implements framework.Adjuster.
func (p *VolumeRestrictions) Adjust(c *framework.Cycle, pod *framework.Pod, other *framework.Placed, _ *framework.Node, by int) {
	if s, ok := c.Get(p.Name()).(*restrictionState); ok {
		s.users += by * s.uses(pod, other)
	}
}

// Filter implements framework.Filterer.
func (p *VolumeRestrictions) Filter(c *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	s, ok := c.Get(p.Name()).(*restrictionState)
	if !ok {
		return nil
	}
	if s.disks && diskInUse(pod.Pod, node) {
		return framework.Fail(p.Name(), framework.Unschedulable, diskTaken)
	}
	if s.users > 0 {
		return framework.Fail(p.Name(), framework.Unschedulable, claimTaken)
	}
	return nil
}

func diskInUse(pod *corev1.Pod, node *framework.Node) bool {
	used := false
	node.EachPod(func(other *framework.Placed) bool {
		for i := range pod.Spec.Volumes {
			for j := range other.Spec.Volumes {
				used = used || sameDisk(&pod.Spec.Volumes[i], &other.Spec.Volumes[j])
			}
		}
		return !used
	})
	return used
}

func singleDisk(v *corev1.Volume) bool {
	return v.GCEPersistentDisk != nil || v.AWSElasticBlockStore != nil || v.RBD != nil || v.ISCSI != nil
}

// sameDisk tells whether two volumes are one disk that cannot be attached for
// both. Two that only read may share most of them.
func sameDisk(a, b *corev1.Volume) bool {
	switch {
	case a.GCEPersistentDisk != nil && b.GCEPersistentDisk != nil:
		x, y := a.GCEPersistentDisk, b.GCEPersistentDisk
		return x.PDName == y.PDName && !(x.ReadOnly && y.ReadOnly)
	case a.AWSElasticBlockStore != nil && b.AWSElasticBlockStore != nil:
		return a.AWSElasticBlockStore.VolumeID == b.AWSElasticBlockStore.VolumeID
	case a.ISCSI != nil && b.ISCSI != nil:
		return a.ISCSI.IQN == b.ISCSI.IQN && !(a.ISCSI.ReadOnly && b.ISCSI.ReadOnly)
	case a.RBD != nil && b.RBD != nil:
		x, y := a.RBD, b.RBD
		common := slices.ContainsFunc(x.CephMonitors, func(m string) bool { return slices.Contains(y.CephMonitors, m) })
		return common && x.RBDPool == y.RBDPool && x.RBDImage == y.RBDImage && !(x.ReadOnly && y.ReadOnly)
	}
	return false
}

// Hint implements framework.Hinter.
func (p *VolumeRestrictions) Hint(_ *framework.Pod, ev framework.Event) bool { return useHint(ev) }
