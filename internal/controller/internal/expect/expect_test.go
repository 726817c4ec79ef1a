package expect

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/reconcile"
)

// view holds one pod, or none.
type view struct{ pod *corev1.Pod }

func (v *view) Get(string, string) (*corev1.Pod, bool) { return v.pod, v.pod != nil }

func (v *view) Seen() uint64 { return 0 }

func TestDeletionsAreSeen(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: "1"}}
	ending := pod.DeepCopy()
	ending.DeletionTimestamp = &metav1.Time{}
	again := pod.DeepCopy()
	again.UID = "2"
	key := reconcile.Key{Namespace: "ns", Name: "owner"}
	for _, tc := range []struct {
		name           string
		now            *corev1.Pod
		deleting, gone bool // whether it is seen
	}{
		{"nothing yet", pod, false, false},
		{"it ends", ending, true, false},
		{"it went", nil, true, true},
		{"another one has its name", again, true, true},
	} {
		v := &view{pod: tc.now}
		deleting, gone := New[*corev1.Pod](v), New[*corev1.Pod](v)
		deleting.Deleting(key, pod)
		gone.Gone(key, pod)
		if got := deleting.Settled(key); got != tc.deleting {
			t.Errorf("%s: a deletion that was asked for is seen: %v", tc.name, got)
		}
		if got := gone.Settled(key); got != tc.gone {
			t.Errorf("%s: a deletion that is over is seen: %v", tc.name, got)
		}
	}
}
