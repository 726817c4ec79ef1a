package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// prepareEphemeralContainers lets through the ephemeral containers only, and
// of metadata what a status may change.
func prepareEphemeralContainers(p, old *corev1.Pod) {
	added := p.Spec.EphemeralContainers
	keepForSubresource(p, old)
	old.Spec.DeepCopyInto(&p.Spec)
	p.Spec.EphemeralContainers = added
}

func keepForSubresource(p, old *corev1.Pod) {
	metav1.ResetObjectMetaForStatus(&p.ObjectMeta, old.DeepCopy())
	p.Generation = old.Generation
	old.Status.DeepCopyInto(&p.Status)
}

// validateEphemeralContainers lets containers be added, never changed or
// removed (KEP-277).
func validateEphemeralContainers(p, old *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	errs := append(validate.StrictMeta(p, true, nil), checkPod(p, old)...)
	errs = append(errs, podAnnotationsUpdate(p, old)...)
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	path := spec.Child("ephemeralContainers")
	now := make(map[string]*corev1.EphemeralContainer, len(p.Spec.EphemeralContainers))
	for i := range p.Spec.EphemeralContainers {
		c := &p.Spec.EphemeralContainers[i]
		now[c.Name] = c
	}
	for i := range old.Spec.EphemeralContainers {
		was := &old.Spec.EphemeralContainers[i]
		switch is := now[was.Name]; {
		case is == nil:
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		case !apiequality.Semantic.DeepEqual(is, was):
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v",
				was.Name, diff.Diff(validate.Shown(was), validate.Shown(is)))))
		}
	}
	return errs
}
