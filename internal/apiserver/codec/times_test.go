package codec

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// What is cut is what comes back from the wire.
func TestTimesAreThoseOfTheWire(t *testing.T) {
	now := time.Date(2026, 11, 21, 17, 0, 1, 123456789, time.UTC)
	at, micro := metav1.NewTime(now), metav1.NewMicroTime(now)
	for _, obj := range []runtime.Object{
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{Time: now}, ManagedFields: []metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: now}}}},
			Status: corev1.PodStatus{StartTime: &metav1.Time{Time: now}, Conditions: []corev1.PodCondition{{LastTransitionTime: at}},
				ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}}}}},
		},
		&coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &micro}},
		&policyv1.PodDisruptionBudget{Status: policyv1.PodDisruptionBudgetStatus{DisruptedPods: map[string]metav1.Time{"a": at}}},
		&apiextensionsv1.CustomResourceDefinition{Status: apiextensionsv1.CustomResourceDefinitionStatus{
			Conditions: []apiextensionsv1.CustomResourceDefinitionCondition{{LastTransitionTime: at}}}},
	} {
		new(times).Cut(obj)
		text, err := json.Marshal(obj)
		if err != nil {
			t.Fatal(err)
		}
		back := obj.DeepCopyObject()
		if err := json.Unmarshal(text, back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(obj, back); diff != "" {
			t.Errorf("%T (- as cut, + from the wire):\n%s", obj, diff)
		}
	}
}

// What is cut already may be shared: the race detector finds whoever writes it.
func TestTimesThatAreCutAreOnlyRead(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 21, 17, 0, 1, 0, time.UTC))
	stored := policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &at},
		Status: policyv1.PodDisruptionBudgetStatus{DisruptedPods: map[string]metav1.Time{"a": at}}}
	var cutting sync.WaitGroup
	for range 2 {
		cutting.Go(func() {
			own := stored
			new(times).Cut(&own)
		})
	}
	cutting.Wait()
}

func BenchmarkTimes(b *testing.B) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: make([]corev1.Container, 2)},
		Status: corev1.PodStatus{Conditions: make([]corev1.PodCondition, 5), ContainerStatuses: make([]corev1.ContainerStatus, 2)}}
	var t times
	for b.Loop() {
		t.Cut(pod)
	}
}
