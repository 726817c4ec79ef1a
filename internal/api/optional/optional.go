// Package optional reads and fills fields that may be unset: those that are
// pointers. It is pure.
package optional

// Default sets a field that is unset.
func Default[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// Value is what a field holds; of one that is unset, the zero value.
func Value[T any](field *T) T {
	if field == nil {
		var zero T
		return zero
	}
	return *field
}
