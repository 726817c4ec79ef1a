package apps

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// tmpl shortens the signatures that pick a template out of a spec.
type tmpl = corev1.PodTemplateSpec

// oldTemplate is the template of the old spec, where there is one.
func oldTemplate[S any](old *S, of func(*S) *tmpl) *tmpl {
	if old == nil {
		return nil
	}
	return of(old)
}

func countOrPercent(v *intstr.IntOrString, path *field.Path) field.ErrorList {
	if v == nil {
		return nil
	}
	return validate.CountOrPercent(*v, path)
}
