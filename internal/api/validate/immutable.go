package validate

import (
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Immutable refuses a change ("field is immutable"); empty and nil collections
// are the same.
func Immutable(value, old any, path *field.Path) field.ErrorList {
	return apimachinery.ValidateImmutableField(value, old, path)
}
