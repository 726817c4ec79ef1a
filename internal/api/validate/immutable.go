package validate

import (
	"reflect"

	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Immutable refuses a change ("field is immutable"); empty and nil collections
// are the same. Structs are shown as Shown does.
func Immutable(value, old any, path *field.Path) field.ErrorList {
	errs := apimachinery.ValidateImmutableField(value, old, path)
	for _, err := range errs {
		if composite(reflect.TypeOf(value)) {
			err.BadValue = Shown(value)
		}
	}
	return errs
}

func composite(t reflect.Type) bool {
	if t == nil {
		return false
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return composite(t.Elem())
	case reflect.Struct:
		return plain(t)
	}
	return false
}
