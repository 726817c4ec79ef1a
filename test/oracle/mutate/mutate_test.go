package mutate

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "i"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

func words() *Words {
	w := NewWords(map[string][]string{"RestartPolicy": {"Always", "Never"}})
	w.Learn(pod())
	return w
}

func TestOneSeedMakesOneChange(t *testing.T) {
	changed := 0
	for seed := range uint64(200) {
		one, other := pod(), pod()
		New(seed, words()).Object(one, "")
		New(seed, words()).Object(other, "")
		if !apiequality.Semantic.DeepEqual(one, other) {
			t.Fatalf("seed %d makes\n%+v\nand\n%+v", seed, one, other)
		}
		if !apiequality.Semantic.DeepEqual(one, pod()) {
			changed++
		}
	}
	if changed < 100 {
		t.Errorf("%d of 200 seeds change anything", changed)
	}
}

func TestChangesStayWithinTheField(t *testing.T) {
	for seed := range uint64(200) {
		got := pod()
		New(seed, words()).Object(got, "status")
		got.Status = pod().Status
		if !apiequality.Semantic.DeepEqual(got, pod()) {
			t.Fatalf("seed %d changes\n%+v", seed, got)
		}
	}
}
