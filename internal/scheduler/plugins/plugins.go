// Package plugins are the filters and scores of the default profile, one file
// each. They are pure: what they decide follows from the pod, the node and
// the cycle's notes.
package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// Weighted is a plugin with the weight of its score; a weight of zero leaves
// its score out.
type Weighted struct {
	framework.Plugin
	Weight int64
	// Without are the points at which the plugin is not asked.
	Without Point
}

// Point is a set of the points at which a plugin may speak.
type Point int

// The points, by the names of KubeSchedulerConfiguration.
const (
	PreEnqueue Point = 1 << iota
	PreFilter
	Filter
	PostFilter
	PreScore
	Score
)

// Default are the plugins of the default profile, in the order in which their
// filters are asked, with upstream's weights. from is what they look up.
func Default(from Sources) []Weighted {
	volumes := from.Volumes
	if volumes.Promised == nil {
		volumes.Promised = NewPromises()
	}
	return []Weighted{
		{Plugin: SchedulingGates{}},
		{Plugin: NodeUnschedulable{}},
		{Plugin: NodeName{}},
		{Plugin: TaintToleration{}, Weight: 3},
		{Plugin: NodeAffinity{}, Weight: 2},
		{Plugin: NodePorts{}},
		{Plugin: NodeResourcesFit{}, Weight: 1},
		{Plugin: &VolumeRestrictions{Volumes: volumes}},
		{Plugin: &NodeVolumeLimits{Volumes: volumes}},
		{Plugin: &VolumeBinding{Volumes: volumes}},
		{Plugin: &VolumeZone{Volumes: volumes}},
		{Plugin: &PodTopologySpread{Sources: from, Defaults: systemSpread(), Lenient: true}, Weight: 2},
		{Plugin: &InterPodAffinity{Sources: from, HardWeight: 1}, Weight: 2},
		{Plugin: NewDynamicResources(from.Devices), Weight: 2},
		{Plugin: DefaultPreemption{LeastPercent: preemptLeastPercent, LeastCount: preemptLeastCount}},
		{Plugin: NodeResourcesBalanced{}, Weight: 1},
		{Plugin: ImageLocality{}, Weight: 1},
	}
}

// scaleToMax brings scores from zero to the highest among them into 0 to
// MaxScore; reverse turns them around, so that a low one is good.
func scaleToMax(scores []int64, reverse bool) {
	var most int64
	for _, s := range scores {
		most = max(most, s)
	}
	for i, s := range scores {
		if most == 0 {
			if reverse {
				scores[i] = framework.MaxScore
			}
			continue
		}
		s = framework.MaxScore * s / most
		if reverse {
			s = framework.MaxScore - s
		}
		scores[i] = s
	}
}

// tolerated tells whether one of the tolerations covers the taint.
func tolerated(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		t := &tolerations[i]
		if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
			continue
		}
		switch t.Operator {
		case "", corev1.TolerationOpEqual:
			if t.Value == taint.Value {
				return true
			}
		case corev1.TolerationOpExists:
			return true
		}
	}
	return false
}
