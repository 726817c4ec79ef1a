package core

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// orSet sets a field that holds its zero value.
func orSet[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// nilIfEmpty makes an empty list the unset one, for lists that are shown even
// where they are unset: storage of protobuf keeps no difference.
func nilIfEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func put(l corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) corev1.ResourceList {
	if l == nil {
		l = corev1.ResourceList{}
	}
	l[name] = q
	return l
}

// roundResources rounds amounts up to a thousandth, the finest that is kept.
func roundResources(l corev1.ResourceList) {
	for name, q := range l {
		// The map holds values: a rounded one is put back.
		if !q.RoundUp(resource.Milli) {
			l[name] = q
		}
	}
}

func isHugePage(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
