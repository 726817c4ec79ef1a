package crd

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apimachinery "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

// checkType refuses an object that says that it is something else.
func (v *versioned) checkType(u *unstructured.Unstructured) field.ErrorList {
	var errs field.ErrorList
	if have := u.GetKind(); have != v.gvk.Kind {
		errs = append(errs, field.Invalid(field.NewPath("kind"), have, "must be "+v.gvk.Kind))
	}
	if have, want := u.GetAPIVersion(), v.gvk.GroupVersion().String(); have != want {
		errs = append(errs, field.Invalid(field.NewPath("apiVersion"), have, "must be "+want))
	}
	return errs
}

// checkScale checks the fields that the scale subresource shows.
func (v *versioned) checkScale(u *unstructured.Unstructured) field.ErrorList {
	scale := v.scale()
	if scale == nil {
		return nil
	}
	return append(checkReplicas(u, scale.SpecReplicasPath), v.checkScaleStatus(u)...)
}

func (v *versioned) checkScaleStatus(u *unstructured.Unstructured) field.ErrorList {
	scale := v.scale()
	if scale == nil {
		return nil
	}
	errs := checkReplicas(u, scale.StatusReplicasPath)
	if path := scale.LabelSelectorPath; path != nil {
		if have, _, err := unstructured.NestedString(u.Object, split(*path)...); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(*path), have, err.Error()))
		}
	}
	return errs
}

func checkReplicas(u *unstructured.Unstructured, path string) field.ErrorList {
	n, _, err := unstructured.NestedInt64(u.Object, split(path)...)
	text := ""
	switch {
	case err != nil:
		text = err.Error()
	case n < 0:
		text = "should be a non-negative integer"
	case n > math.MaxInt32:
		text = fmt.Sprintf("should be less than or equal to %v", math.MaxInt32)
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath(path), n, text)}
}

// warnOfFinalizers tells of new finalizers whose names are not qualified.
func warnOfFinalizers(obj, old api.Object) []string {
	added := slices.Clone(obj.GetFinalizers())
	if old != nil {
		added = slices.DeleteFunc(added, func(f string) bool { return slices.Contains(old.GetFinalizers(), f) })
	}
	slices.Sort(added)
	var out []string
	for _, name := range slices.Compact(added) {
		out = append(out, finalizerWarnings(name)...)
	}
	return out
}

func finalizerWarnings(name string) []string {
	const path = "metadata.finalizers"
	var out []string
	for _, text := range apimachinery.IsQualifiedName(name) {
		out = append(out, fmt.Sprintf("%s: %q: %s", path, name, text))
	}
	if strings.Contains(name, "/") || standardFinalizer(name) {
		return out
	}
	hint := "name"
	if strings.Contains(name, ".") {
		hint = "name including a path (/)"
	}
	return append(out, fmt.Sprintf("%s: %q: prefer a domain-qualified finalizer %s to avoid accidental conflicts with other finalizer writers", path, name, hint))
}

func standardFinalizer(name string) bool {
	switch name {
	case metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents, string(corev1.FinalizerKubernetes):
		return true
	}
	return false
}
