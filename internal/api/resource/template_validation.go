package resource

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validateTemplate(t template) field.ErrorList {
	meta, path := &t.Spec.ObjectMeta, field.NewPath("spec", "metadata")
	errs := validate.Annotations(meta.Annotations, path.Child("annotations"))
	errs = append(errs, validate.Labels(meta.Labels, path.Child("labels"))...)
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"name", meta.Name != ""}, {"generateName", meta.GenerateName != ""}, {"namespace", meta.Namespace != ""},
		{"uid", meta.UID != ""}, {"resourceVersion", meta.ResourceVersion != ""}, {"finalizers", len(meta.Finalizers) > 0},
		{"ownerReferences", len(meta.OwnerReferences) > 0},
	} {
		if other.set {
			errs = append(errs, field.Forbidden(path.Child(other.name), "cannot be set"))
		}
	}
	return append(errs, validateDevices(&t.Spec.Spec.Devices, field.NewPath("spec", "spec", "devices"))...)
}
