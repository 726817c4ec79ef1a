package validate

import (
	"cmp"
	"fmt"

	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// NonNegative refuses numbers below zero.
func NonNegative[N ~int | ~int32 | ~int64](n N, path *field.Path) field.ErrorList {
	return apimachinery.ValidateNonnegativeField(int64(n), path)
}

// Positive refuses zero and numbers below.
func Positive[N ~int | ~int32 | ~int64](n N, path *field.Path) field.ErrorList {
	if n > 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, n, "must be greater than zero")}
}

// InRange refuses numbers outside of low to high, both included.
func InRange[N cmp.Ordered](n, low, high N, path *field.Path) field.ErrorList {
	if n >= low && n <= high {
		return nil
	}
	return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("must be between %v and %v, inclusive", low, high))}
}

// Port checks a port number, 1 to 65535.
func Port(port int, path *field.Path) field.ErrorList {
	return Each(validation.IsValidPortNum(port), port, path)
}

// PortOrName checks a port given as a number or by the name of a port.
func PortOrName(port intstr.IntOrString, path *field.Path) field.ErrorList {
	switch port.Type {
	case intstr.Int:
		return Each(validation.IsValidPortNum(port.IntValue()), port.IntValue(), path)
	case intstr.String:
		return Each(validation.IsValidPortName(port.StrVal), port.StrVal, path)
	default:
		return field.ErrorList{field.InternalError(path, fmt.Errorf("unknown type: %v", port.Type))}
	}
}

// CountOrPercent checks a number that is not negative, or a percentage.
func CountOrPercent(v intstr.IntOrString, path *field.Path) field.ErrorList {
	switch v.Type {
	case intstr.String:
		return Each(validation.IsValidPercent(v.StrVal), v, path)
	case intstr.Int:
		return NonNegative(v.IntValue(), path)
	default:
		return field.ErrorList{field.Invalid(path, v, "must be an integer or percentage (e.g '5%%')")}
	}
}
