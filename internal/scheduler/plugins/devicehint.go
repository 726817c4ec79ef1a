package plugins

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// Hint implements framework.Hinter.
func (p *DynamicResources) Hint(pod *framework.Pod, ev framework.Event) bool {
	switch ev.Kind {
	case framework.NodeAdded, framework.PodChanged:
		return true
	case framework.NodeChanged:
		return !sameLabelsAndTaints(ev.OldNode, ev.NewNode) ||
			!equality.Semantic.DeepEqual(ev.OldNode.Status.Allocatable, ev.NewNode.Status.Allocatable)
	case framework.ObjectChanged:
		switch now := ev.New.(type) {
		case *resourcev1.DeviceClass:
			return now != nil
		case *resourcev1.ResourceSlice:
			return now != nil
		case *resourcev1.ResourceClaim:
			old, _ := ev.Old.(*resourcev1.ResourceClaim)
			return freed(old, now) || now != nil && uses(pod, now) && (old == nil || !equality.Semantic.DeepEqual(old.Status, now.Status))
		}
	}
	return false
}

// freed tells whether a claim gave its devices back.
func freed(old, now *resourcev1.ResourceClaim) bool {
	return old != nil && old.Status.Allocation != nil && (now == nil || now.Status.Allocation == nil)
}

// uses tells whether a pod's entries name a claim.
func uses(pod *framework.Pod, claim *resourcev1.ResourceClaim) bool {
	if pod.Namespace != claim.Namespace {
		return false
	}
	for i := range pod.Spec.ResourceClaims {
		if name, _, err := resourceclaim.Name(pod.Pod, &pod.Spec.ResourceClaims[i]); err == nil && name != nil && *name == claim.Name {
			return true
		}
	}
	return false
}
