package register

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// An answer that was under way while the informer told of a later state, such as
// one with the node's pod range, does not take its place.
func TestTheNewestNodeIsKept(t *testing.T) {
	at := func(version string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}}
	}
	r := New(*config())
	first, told := at("9"), at("10")
	if got := r.keep(first); got != first || r.Node() != first {
		t.Errorf("the first is %v, %v is kept", got, r.Node())
	}
	r.node.Store(told)
	for _, answer := range []*corev1.Node{first, at("9")} {
		if got := r.keep(answer); got != told || r.Node() != told {
			t.Errorf("after version %s %s is kept, want 10", answer.ResourceVersion, r.Node().ResourceVersion)
		}
	}
	if later := at("11"); r.keep(later) != later || r.Node() != later {
		t.Errorf("%s is kept, want 11", r.Node().ResourceVersion)
	}
}
