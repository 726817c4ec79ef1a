package storage

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	maxParameters     = 512
	maxParameterBytes = 256 * (1 << 10)
)

func validateClass(c *storagev1.StorageClass) field.ErrorList {
	errs := validateProvisioner(c.Provisioner, field.NewPath("provisioner"))
	errs = append(errs, validateParameters(c.Parameters, field.NewPath("parameters"))...)
	if c.ReclaimPolicy != nil && *c.ReclaimPolicy != "" {
		errs = append(errs, validate.OneOf(*c.ReclaimPolicy, field.NewPath("reclaimPolicy"),
			corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)...)
	}
	if mode := field.NewPath("volumeBindingMode"); c.VolumeBindingMode == nil {
		errs = append(errs, field.Required(mode, ""))
	} else {
		errs = append(errs, validate.OneOf(*c.VolumeBindingMode, mode,
			storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)...)
	}
	return append(errs, validateTopologies(c.AllowedTopologies, field.NewPath("allowedTopologies"))...)
}

func validateProvisioner(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, name)}
	}
	return validate.QualifiedName(strings.ToLower(name), path)
}

func validateParameters(parameters map[string]string, path *field.Path) field.ErrorList {
	if len(parameters) > maxParameters {
		return field.ErrorList{field.TooLong(path, "Provisioner Parameters exceeded max allowed", maxParameters)}
	}
	var errs field.ErrorList
	total := 0
	for k, v := range parameters {
		if k == "" {
			errs = append(errs, field.Invalid(path, k, "field can not be empty."))
		}
		total += len(k) + len(v)
	}
	if total > maxParameterBytes {
		errs = append(errs, field.TooLong(path, "", maxParameterBytes))
	}
	return errs
}

// validateTopologies refuses terms that say the same as an earlier one. A term
// without expressions counts as the same as each of the list's terms before
// they are looked at, as upstream counts.
func validateTopologies(terms []corev1.TopologySelectorTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	var before []map[string]sets.Set[string]
	for i := range terms {
		at := path.Index(i).Child("matchLabelExpressions")
		errs = append(errs, validateTerm(terms[i].MatchLabelExpressions, at)...)
		said := meaning(terms[i].MatchLabelExpressions)
		same := 0
		for _, b := range before {
			if maps.EqualFunc(said, b, sets.Set[string].Equal) {
				same++
			}
		}
		if len(said) == 0 {
			same += len(terms)
		}
		for range same {
			errs = append(errs, field.Duplicate(at, ""))
		}
		before = append(before, said)
	}
	return errs
}

func meaning(expressions []corev1.TopologySelectorLabelRequirement) map[string]sets.Set[string] {
	out := make(map[string]sets.Set[string], len(expressions))
	for _, e := range expressions {
		out[e.Key] = sets.New(e.Values...)
	}
	return out
}

func validateTerm(expressions []corev1.TopologySelectorLabelRequirement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	keys := map[string]bool{}
	for i, e := range expressions {
		at := path.Index(i)
		values := map[string]bool{}
		if len(e.Values) == 0 {
			errs = append(errs, field.Required(at.Child("values"), ""))
		}
		for j, v := range e.Values {
			if values[v] {
				errs = append(errs, field.Duplicate(at.Child("values").Index(j), v))
			}
			values[v] = true
		}
		errs = append(errs, validate.LabelKey(e.Key, at.Child("key"))...)
		if keys[e.Key] {
			errs = append(errs, field.Duplicate(at.Child("key"), e.Key))
		}
		keys[e.Key] = true
	}
	return errs
}

func validateClassUpdate(c, old *storagev1.StorageClass) field.ErrorList {
	errs := validateClass(c)
	errs = append(errs, validate.Immutable(c.Parameters, old.Parameters, field.NewPath("parameters"))...)
	errs = append(errs, validate.Immutable(c.Provisioner, old.Provisioner, field.NewPath("provisioner"))...)
	errs = append(errs, validate.Immutable(c.ReclaimPolicy, old.ReclaimPolicy, field.NewPath("reclaimPolicy"))...)
	return append(errs, validate.Immutable(c.VolumeBindingMode, old.VolumeBindingMode, field.NewPath("volumeBindingMode"))...)
}
