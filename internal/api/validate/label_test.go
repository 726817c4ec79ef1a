package validate

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

// Errors of maps come in the order of their keys, every time.
func TestErrorsOfMapsAreInOrder(t *testing.T) {
	bad := map[string]string{}
	for _, key := range []string{"f f", "a a", "d d", "c c", "e e", "b b"} {
		bad[key] = ""
	}
	for name, errs := range map[string]field.ErrorList{
		"labels": Labels(bad, at.Child("labels")), "annotations": Annotations(bad, at.Child("annotations")),
		"a selector": LabelSelector(&metav1.LabelSelector{MatchLabels: bad}, at),
		"metadata":   meta(&api.Rules{}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "x", Labels: bad}}, false),
	} {
		var keys []string
		for _, e := range errs {
			value, _ := e.BadValue.(string)
			keys = append(keys, value)
		}
		if !slices.IsSorted(keys) || len(keys) != len(bad) {
			t.Errorf("%s: errors about %s", name, strings.Join(keys, ", "))
		}
	}
}
