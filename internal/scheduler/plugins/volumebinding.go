package plugins

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	volumehelpers "k8s.io/component-helpers/storage/volume"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// noProvisioner is the provisioner of classes whose volumes people make.
const noProvisioner = "kubernetes.io/no-provisioner"

// What users read where a node cannot have the pod's volumes.
const (
	volumeElsewhere = "node(s) didn't match PersistentVolume's node affinity"
	volumeMissing   = "node(s) didn't find available persistent volumes to bind"
	volumeGone      = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
	volumeNoSpace   = "node(s) did not have enough free storage"
)

// VolumeBinding lets a pod onto nodes that reach its volumes, and chooses
// volumes for claims that wait for their first consumer. What it chose is in
// the Plan; the scheduler carries it out before it binds the pod.
type VolumeBinding struct{ Volumes Volumes }

// VolumePlan is what is to be written before a pod goes to a node.
type VolumePlan struct {
	// Bind are volumes that exist, each for a claim.
	Bind []VolumeBind
	// Provision are the claims whose volumes are to be made for the node.
	Provision []*corev1.PersistentVolumeClaim
}

// VolumeBind is a volume for a claim.
type VolumeBind struct {
	Claim  *corev1.PersistentVolumeClaim
	Volume *corev1.PersistentVolume
}

// volumeState is the pod's claims, sorted.
type volumeState struct {
	bound   []*corev1.PersistentVolumeClaim
	waiting []*corev1.PersistentVolumeClaim // smallest request first
	plans   map[string]*VolumePlan          // by node
}

// Name implements framework.Plugin.
func (*VolumeBinding) Name() string { return "VolumeBinding" }

// PreFilter implements framework.PreFilterer.
func (p *VolumeBinding) PreFilter(c *framework.Cycle, pod *framework.Pod) *framework.Status {
	s := &volumeState{plans: map[string]*VolumePlan{}}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		name := claimName(pod.Pod, v)
		if name == "" {
			continue
		}
		claim, why := p.claim(pod.Pod, v, name)
		if why != "" {
			return framework.Fail(p.Name(), framework.Unresolvable, why)
		}
		switch {
		case bound(claim):
			s.bound = append(s.bound, claim)
		case claim.Spec.VolumeName == "" && waits(p.Volumes.classOf(claim)):
			s.waiting = append(s.waiting, claim)
		default:
			return framework.Fail(p.Name(), framework.Unresolvable, "pod has unbound immediate PersistentVolumeClaims")
		}
	}
	if len(s.bound)+len(s.waiting) == 0 {
		return framework.Skipped()
	}
	slices.SortStableFunc(s.waiting, func(a, b *corev1.PersistentVolumeClaim) int {
		return a.Spec.Resources.Requests.Storage().Cmp(*b.Spec.Resources.Requests.Storage())
	})
	c.Set(p.Name(), s)
	return nil
}

// claim finds a claim, or tells why the pod cannot have it.
func (p *VolumeBinding) claim(pod *corev1.Pod, v *corev1.Volume, name string) (*corev1.PersistentVolumeClaim, string) {
	var claim *corev1.PersistentVolumeClaim
	if p.Volumes.Claim != nil {
		claim = p.Volumes.Claim(pod.Namespace, name)
	}
	switch {
	case claim == nil && v.Ephemeral != nil:
		return nil, fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", name)
	case claim == nil:
		return nil, fmt.Sprintf("persistentvolumeclaim %q not found", name)
	case claim.Status.Phase == corev1.ClaimLost:
		return nil, fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", name, claim.Spec.VolumeName)
	case claim.DeletionTimestamp != nil:
		return nil, fmt.Sprintf("persistentvolumeclaim %q is being deleted", name)
	case v.Ephemeral != nil && !metav1.IsControlledBy(claim, pod):
		return nil, fmt.Sprintf("PVC %s/%s was not created for pod %s/%s (pod is not owner)", claim.Namespace, name, pod.Namespace, pod.Name)
	}
	return claim, ""
}

// Filter implements framework.Filterer.
func (p *VolumeBinding) Filter(c *framework.Cycle, _ *framework.Pod, node *framework.Node) *framework.Status {
	s, ok := c.Get(p.Name()).(*volumeState)
	if !ok {
		return nil
	}
	var why []string
	for _, claim := range s.bound {
		if r := p.reach(claim, node); r != "" && !slices.Contains(why, r) {
			why = append(why, r)
		}
	}
	plan, missing := p.plan(s.waiting, node)
	if missing != "" {
		why = append(why, missing)
	}
	if len(why) > 0 {
		return framework.Fail(p.Name(), framework.Unresolvable, why...)
	}
	if plan != nil {
		s.plans[node.Name] = plan
	}
	return nil
}

// reach tells why a node does not reach a claim's volume; empty: it does.
func (p *VolumeBinding) reach(claim *corev1.PersistentVolumeClaim, node *framework.Node) string {
	volume := p.Volumes.boundVolume(claim)
	if volume == nil {
		return volumeGone
	}
	if volumehelpers.CheckNodeAffinity(volume, node.Labels) != nil {
		return volumeElsewhere
	}
	return ""
}

// plan finds a volume, or the way to get one, for each claim.
func (p *VolumeBinding) plan(claims []*corev1.PersistentVolumeClaim, node *framework.Node) (*VolumePlan, string) {
	if len(claims) == 0 {
		return nil, ""
	}
	plan := &VolumePlan{}
	taken := map[string]*corev1.PersistentVolume{}
	for _, claim := range claims {
		if on := p.selectedNode(claim); on != "" {
			if on != node.Name {
				return nil, volumeMissing
			}
			plan.Provision = append(plan.Provision, claim)
			continue
		}
		volume, err := volumehelpers.FindMatchingVolume(claim, p.free(claim), node.Node, taken, true, true)
		if err != nil {
			return nil, volumeMissing
		}
		if volume != nil {
			taken[volume.Name] = volume
			plan.Bind = append(plan.Bind, VolumeBind{Claim: claim, Volume: volume})
			continue
		}
		if why := p.canProvision(claim, node); why != "" {
			return nil, why
		}
		plan.Provision = append(plan.Provision, claim)
	}
	return plan, ""
}

// selectedNode is the node that the claim's volume is being made for.
func (p *VolumeBinding) selectedNode(claim *corev1.PersistentVolumeClaim) string {
	if on := p.Volumes.Promised.Nodes[ClaimKey{claim.Namespace, claim.Name}]; on != "" {
		return on
	}
	return claim.Annotations[volumehelpers.AnnSelectedNode]
}

// free are the volumes that no other claim was promised.
func (p *VolumeBinding) free(claim *corev1.PersistentVolumeClaim) []*corev1.PersistentVolume {
	if p.Volumes.All == nil {
		return nil
	}
	return slices.DeleteFunc(p.Volumes.All(), func(v *corev1.PersistentVolume) bool {
		by, promised := p.Volumes.Promised.Volumes[v.Name]
		return promised && by != ClaimKey{claim.Namespace, claim.Name}
	})
}

// canProvision tells why a volume cannot be made for a node.
func (p *VolumeBinding) canProvision(claim *corev1.PersistentVolumeClaim, node *framework.Node) string {
	class := p.Volumes.classOf(claim)
	if class == nil || class.Provisioner == "" || class.Provisioner == noProvisioner {
		return volumeMissing
	}
	if len(class.AllowedTopologies) > 0 && !inTopology(node.Labels, class.AllowedTopologies) {
		return volumeMissing
	}
	if !p.hasSpace(class, claim, node) {
		return volumeNoSpace
	}
	return ""
}

// inTopology tells whether labels match one of the terms. A term without
// expressions matches nothing.
func inTopology(set labels.Set, terms []corev1.TopologySelectorTerm) bool {
	return slices.ContainsFunc(terms, func(t corev1.TopologySelectorTerm) bool {
		for _, e := range t.MatchLabelExpressions {
			if value, ok := set[e.Key]; !ok || !slices.Contains(e.Values, value) {
				return false
			}
		}
		return len(t.MatchLabelExpressions) > 0
	})
}

// hasSpace asks what a driver that publishes its capacity has near the node
// (KEP-1472).
func (p *VolumeBinding) hasSpace(class *storagev1.StorageClass, claim *corev1.PersistentVolumeClaim, node *framework.Node) bool {
	want, asked := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if !asked || p.Volumes.Driver == nil || p.Volumes.Capacities == nil {
		return true
	}
	driver := p.Volumes.Driver(class.Provisioner)
	if driver == nil || driver.Spec.StorageCapacity == nil || !*driver.Spec.StorageCapacity {
		return true
	}
	for _, c := range p.Volumes.Capacities() {
		limit := c.Capacity
		if c.MaximumVolumeSize != nil {
			limit = c.MaximumVolumeSize
		}
		if c.StorageClassName != class.Name || limit == nil || limit.Cmp(want) < 0 || c.NodeTopology == nil {
			continue
		}
		sel, err := metav1.LabelSelectorAsSelector(c.NodeTopology)
		if err == nil && sel.Matches(labels.Set(node.Labels)) {
			return true
		}
	}
	return false
}

// Plan is what is to be done for the pod to go to the node; nil for nothing.
func (p *VolumeBinding) Plan(c *framework.Cycle, node string) *VolumePlan {
	s, ok := c.Get(p.Name()).(*volumeState)
	if !ok {
		return nil
	}
	return s.plans[node]
}

// Hint implements framework.Hinter.
func (p *VolumeBinding) Hint(_ *framework.Pod, ev framework.Event) bool { return reachHint(ev) }
