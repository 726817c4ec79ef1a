package volumebinder

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/controller/internal/storage"
)

// match is the volume that fits a claim best; nil for none. A volume that was
// made or set aside for the claim goes before all others, which are not looked
// at where onlyOwn is set. Of the others the one with the fewest access modes
// counts, then the smallest.
func match(claim *corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume, onlyOwn bool) (*corev1.PersistentVolume, error) {
	selector, err := metav1.LabelSelectorAsSelector(claim.Spec.Selector)
	if err != nil {
		return nil, err
	}
	if claim.Spec.Selector == nil {
		selector = labels.Everything()
	}
	var best *corev1.PersistentVolume
	for _, v := range volumes {
		if v.DeletionTimestamp != nil || !sameMode(claim, v) || !sameAttributes(claim, v) || !largeEnough(claim, v) {
			continue
		}
		if storage.Refers(v, claim) {
			return v, nil
		}
		if onlyOwn || v.Spec.ClaimRef != nil || v.Status.Phase != corev1.VolumeAvailable || !selector.Matches(labels.Set(v.Labels)) ||
			!sameClass(claim, v) || !modesFit(claim, v) {
			continue
		}
		if best == nil || better(v, best) {
			best = v
		}
	}
	return best, nil
}

func better(a, b *corev1.PersistentVolume) bool {
	if m, n := len(a.Spec.AccessModes), len(b.Spec.AccessModes); m != n {
		return m < n
	}
	have, other := a.Spec.Capacity[corev1.ResourceStorage], b.Spec.Capacity[corev1.ResourceStorage]
	if c := have.Cmp(other); c != 0 {
		return c < 0
	}
	return a.Name < b.Name
}

// unfit says why a volume that the claim names cannot be bound to it; empty
// where it can.
func unfit(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) string {
	switch {
	case v.DeletionTimestamp != nil:
		return "the volume is marked for deletion " + `"` + v.Name + `"`
	case !largeEnough(claim, v):
		return "requested PV is too small"
	case !sameClass(claim, v):
		return "storageClassName does not match"
	case !sameAttributes(claim, v):
		return "volumeAttributesClassName does not match"
	case !sameMode(claim, v):
		return "incompatible volumeMode"
	case !modesFit(claim, v):
		return "incompatible accessMode"
	}
	return ""
}

func largeEnough(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	have := v.Spec.Capacity[corev1.ResourceStorage]
	return have.Cmp(claim.Spec.Resources.Requests[corev1.ResourceStorage]) >= 0
}

func sameClass(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	class, _ := storage.ClassOf(claim)
	return class == storage.VolumeClassOf(v)
}

func sameAttributes(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	return value(claim.Spec.VolumeAttributesClassName) == value(v.Spec.VolumeAttributesClassName)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func sameMode(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	return modeOf(claim.Spec.VolumeMode) == modeOf(v.Spec.VolumeMode)
}

func modeOf(mode *corev1.PersistentVolumeMode) corev1.PersistentVolumeMode {
	if mode == nil {
		return corev1.PersistentVolumeFilesystem
	}
	return *mode
}

func modesFit(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	for _, mode := range claim.Spec.AccessModes {
		if !slices.Contains(v.Spec.AccessModes, mode) {
			return false
		}
	}
	return true
}
