package plugins

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// reachHint is the hint of plugins that ask where a pod's volumes can be
// reached.
func reachHint(ev framework.Event) bool {
	if ev.Kind == framework.NodeChanged {
		return !sameLabelsAndTaints(ev.OldNode, ev.NewNode)
	}
	return volumeHint(ev)
}

// useHint is the hint of plugins that ask which volumes a node's pods use
// already.
func useHint(ev framework.Event) bool {
	if ev.Kind == framework.PodFreed {
		return len(ev.OldPod.Spec.Volumes) > 0
	}
	return volumeHint(ev)
}

// volumeHint names the events that matter to all of them.
func volumeHint(ev framework.Event) bool {
	switch ev.Kind {
	case framework.NodeAdded, framework.PodChanged:
		return true
	case framework.ObjectChanged:
		switch ev.New.(type) {
		case *corev1.PersistentVolumeClaim, *corev1.PersistentVolume, *storagev1.StorageClass,
			*storagev1.CSINode, *storagev1.CSIDriver, *storagev1.CSIStorageCapacity:
			return true
		}
	}
	return false
}
