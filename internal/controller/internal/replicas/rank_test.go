package replicas

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var now = time.Unix(1_000_000, 0)

func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec:       corev1.PodSpec{NodeName: "n"},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}},
		},
	}
	for _, fn := range change {
		fn(p)
	}
	return p
}

func on(node string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = node } }
func pending(p *corev1.Pod)            { p.Status.Phase = corev1.PodPending; unready(p) }
func unready(p *corev1.Pod)            { p.Status.Conditions[0].Status = corev1.ConditionFalse }
func cheap(p *corev1.Pod)              { p.Annotations = map[string]string{deletionCost: "-10"} }
func restarted(p *corev1.Pod) {
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 3}}
}

// initRestarted is what an init container had to try again, or a sidecar was
// started again.
func initRestarted(n int32, policy *corev1.ContainerRestartPolicy) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init", RestartPolicy: policy}}
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", RestartCount: n}}
	}
}

func readySince(d time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-d)) }
}

func TestWhoGoesFirst(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	cases := []struct {
		name string
		pods []*corev1.Pod
		want string
	}{
		{"without a node", []*corev1.Pod{pod("a"), pod("b", on(""), pending)}, "b"},
		{"pending before running", []*corev1.Pod{pod("a"), pod("b", pending)}, "b"},
		{"not ready before ready", []*corev1.Pod{pod("a"), pod("b", unready)}, "b"},
		{"cheaper", []*corev1.Pod{pod("a"), pod("b", cheap)}, "b"},
		{"a node with several", []*corev1.Pod{pod("a", on("x")), pod("b", on("y")), pod("c", on("y"), cheap)}, "c"},
		{"ready for a shorter time", []*corev1.Pod{pod("a"), pod("b", readySince(time.Minute))}, "b"},
		{"more restarts", []*corev1.Pod{pod("a"), pod("b", restarted)}, "b"},
		{"restarts before those of an init container", []*corev1.Pod{pod("a", initRestarted(9, nil)), pod("b", restarted)}, "b"},
		{"restarts before those of a sidecar", []*corev1.Pod{pod("a", initRestarted(9, &always)), pod("b", restarted)}, "b"},
		{"a sidecar's restarts", []*corev1.Pod{pod("a"), pod("b", initRestarted(1, &always))}, "b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := ToRemove(c.pods, c.pods, 1, now); got[0].Name != c.want {
				t.Errorf("%s goes first, want %s", got[0].Name, c.want)
			}
		})
	}
	t.Run("doubled up", func(t *testing.T) {
		mine := []*corev1.Pod{pod("a", on("x")), pod("b", on("y"))}
		related := append(mine, pod("sibling", on("y")))
		if got := ToRemove(mine, related, 1, now); got[0].Name != "b" {
			t.Errorf("%s goes first", got[0].Name)
		}
	})
}

func TestPlanReplicas(t *testing.T) {
	rs := func(n int32) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Replicas: &n}}
	}
	have := []*corev1.Pod{pod("a"), pod("b"), pod("c")}
	for _, c := range []struct{ want, create, remove int }{{3, 0, 0}, {5, 2, 0}, {1, 0, 2}, {0, 0, 3}, {1000, 500, 0}} {
		p := planReplicas(rs(int32(c.want)), have, nil, now)
		if p.create != c.create || len(p.remove) != c.remove {
			t.Errorf("of %d: create %d, remove %d", c.want, p.create, len(p.remove))
		}
	}
}

func TestStatus(t *testing.T) {
	ten := int32(10)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Generation: 4},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &ten, MinReadySeconds: 60},
	}
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }
	pods := []*corev1.Pod{pod("old"), pod("young", readySince(20*time.Second)), pod("younger", readySince(5*time.Second)), pod("c", unready), pod("d", deleted)}
	status, wait := planStatus(rs, pods, errors.New("quota"), plan{create: 1}, now)
	one := int32(1)
	want := appsv1.ReplicaSetStatus{
		Replicas: 4, FullyLabeledReplicas: 4, ReadyReplicas: 3, AvailableReplicas: 1, TerminatingReplicas: &one, ObservedGeneration: 4,
		Conditions: []appsv1.ReplicaSetCondition{{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "quota", LastTransitionTime: metav1.NewTime(now),
		}},
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Error(diff)
	}
	if wait != 40*time.Second {
		t.Errorf("looks again after %s, want 40 s", wait)
	}
	rs.Status = status
	if after, _ := planStatus(rs, pods, nil, plan{}, now); len(after.Conditions) != 0 {
		t.Errorf("the failure stays: %v", after.Conditions)
	}
}
