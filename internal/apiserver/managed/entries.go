package managed

import (
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

// ManagerName is the manager of a request: the one it names, or the part of
// its user agent before the first slash.
func ManagerName(asked, userAgent string) string {
	if asked != "" {
		return asked
	}
	prefix, _, _ := strings.Cut(userAgent, "/")
	var b strings.Builder
	n := 0
	for _, r := range prefix {
		if !unicode.IsPrint(r) {
			continue
		}
		if n++; n > limits.ManagerName {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// SameButTimes tells whether two lists of entries differ in their times at
// most.
func SameButTimes(a, b []metav1.ManagedFieldsEntry) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameEntry(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func sameEntry(a, b *metav1.ManagedFieldsEntry) bool {
	if a.Manager != b.Manager || a.Operation != b.Operation || a.APIVersion != b.APIVersion ||
		a.FieldsType != b.FieldsType || a.Subresource != b.Subresource {
		return false
	}
	if a.FieldsV1 == nil || b.FieldsV1 == nil {
		return a.FieldsV1 == b.FieldsV1
	}
	return string(a.FieldsV1.Raw) == string(b.FieldsV1.Raw)
}
