package resource

import (
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// list checks a list of at most so many entries; a longer one is not looked
// into. A negative most is no bound.
func list[T any](items []T, most int, path *field.Path, check func(*T, *field.Path) field.ErrorList) field.ErrorList {
	if most >= 0 && len(items) > most {
		return field.ErrorList{field.TooMany(path, len(items), most)}
	}
	var errs field.ErrorList
	for i := range items {
		errs = append(errs, check(&items[i], path.Index(i))...)
	}
	return errs
}

// set is a list whose entries differ in their keys.
func set[T any, K comparable](items []T, most int, path *field.Path, check func(*T, *field.Path) field.ErrorList, key func(*T) K) field.ErrorList {
	errs := list(items, most, path, check)
	if most >= 0 && len(items) > most {
		return errs
	}
	seen := map[K]bool{}
	for i := range items {
		k := key(&items[i])
		if seen[k] {
			errs = append(errs, field.Duplicate(path.Index(i), k))
		}
		seen[k] = true
	}
	return errs
}

func text(s *string) string { return *s }

// unchanged refuses any change of a spec, and checks nothing else of it.
func unchanged[T any](spec, old T) field.ErrorList {
	if equality.Semantic.DeepEqual(spec, old) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec"), validate.Shown(spec), "field is immutable")}
}

// fullName checks the name of an attribute with its domain.
func fullName(name resourcev1.FullyQualifiedName, path *field.Path) field.ErrorList {
	errs := qualifiedName(string(name), path)
	if !strings.Contains(string(name), "/") {
		errs = append(errs, field.Invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash"))
	}
	return errs
}

// qualifiedName checks a name that may have a domain. Names with several
// slashes pass, as upstream lets them.
func qualifiedName(name string, path *field.Path) field.ErrorList {
	parts := strings.Split(name, "/")
	switch len(parts) {
	case 1:
		return identifier(parts[0], path)
	case 2:
		var errs field.ErrorList
		if parts[0] == "" {
			errs = append(errs, field.Invalid(path, "", "the domain must not be empty"))
		} else {
			errs = append(errs, validate.DriverName(parts[0], path)...)
		}
		if parts[1] == "" {
			return append(errs, field.Invalid(path, "", "the name must not be empty"))
		}
		return append(errs, identifier(parts[1], path)...)
	}
	return nil
}

func identifier(name string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(name) > resourcev1.DeviceMaxIDLength {
		errs = append(errs, field.TooLong(path, name, resourcev1.DeviceMaxIDLength))
	}
	return append(errs, validate.Each(validation.IsCIdentifier(name), name, path)...)
}

// poolName checks DNS subdomains separated by slashes.
func poolName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	if len(name) > resourcev1.PoolNameMaxLength {
		errs = append(errs, field.TooLong(path, name, resourcev1.PoolNameMaxLength))
	}
	for _, part := range strings.Split(name, "/") {
		errs = append(errs, validate.DNS1123Subdomain(part, path)...)
	}
	return errs
}

func effects() []resourcev1.DeviceTaintEffect {
	return []resourcev1.DeviceTaintEffect{
		resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNone,
	}
}

func validateTolerations(items []resourcev1.DeviceToleration, path *field.Path) field.ErrorList {
	return list(items, resourcev1.DeviceTolerationsMaxLength, path, validateToleration)
}

func validateToleration(t *resourcev1.DeviceToleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.Key != "" {
		errs = append(errs, validate.LabelKey(t.Key, path.Child("key"))...)
	}
	switch t.Operator {
	case resourcev1.DeviceTolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Invalid(path.Child("value"), t.Value, "must be empty for operator `Exists`"))
		}
	case resourcev1.DeviceTolerationOpEqual:
		errs = append(errs, labelValue(t.Value, path.Child("value"))...)
	default:
		errs = append(errs, validate.RequiredOneOf(t.Operator, path.Child("operator"),
			resourcev1.DeviceTolerationOpEqual, resourcev1.DeviceTolerationOpExists)...)
	}
	if t.Effect != "" {
		errs = append(errs, validate.OneOf(t.Effect, path.Child("effect"), effects()...)...)
	}
	return errs
}

func labelValue(value string, path *field.Path) field.ErrorList {
	return validate.Each(validation.IsValidLabelValue(value), value, path)
}

// validateBindingConditions checks what must be true, or must not be, of a
// device before a pod is bound.
func validateBindingConditions(conditions, failures []string, path *field.Path) field.ErrorList {
	key := func(s *string, at *field.Path) field.ErrorList { return validate.LabelKey(*s, at) }
	good, bad := path.Child("bindingConditions"), path.Child("bindingFailureConditions")
	errs := set(conditions, resourcev1.BindingConditionsMaxSize, good, key, text)
	errs = append(errs, set(failures, resourcev1.BindingFailureConditionsMaxSize, bad, key, text)...)
	for i, f := range failures {
		if slices.Contains(conditions, f) {
			errs = append(errs, field.Invalid(bad.Index(i), f, "bindingFailureConditions must not overlap with bindingConditions"))
		}
	}
	if len(conditions) == 0 && len(failures) > 0 {
		errs = append(errs, field.Invalid(good, conditions, "bindingConditions are required to use bindingFailureConditions"))
	}
	if len(failures) == 0 && len(conditions) > 0 {
		errs = append(errs, field.Invalid(bad, failures, "bindingFailureConditions are required to use bindingConditions"))
	}
	return errs
}
