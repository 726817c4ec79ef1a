package validate

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// OneOf refuses a value that is not in the list; the message names the list
// in alphabetical order.
func OneOf[T ~string](value T, path *field.Path, supported ...T) field.ErrorList {
	if slices.Contains(supported, value) {
		return nil
	}
	sorted := slices.Clone(supported)
	slices.Sort(sorted)
	return field.ErrorList{field.NotSupported(path, value, sorted)}
}

// RequiredOneOf is OneOf for a field that must be set.
func RequiredOneOf[T ~string](value T, path *field.Path, supported ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return OneOf(value, path, supported...)
}
