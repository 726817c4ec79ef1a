package job

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

func TestIndexesAsText(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "0": "0", "1,2": "1,2", "1-2": "1,2", "1-3": "1-3", "5,1-3,4": "1-5", "1,3,5": "1,3,5",
		"7-20": "7-9", "12": "", "x,2,3-y": "2", "-4": "", "3-1": "",
	} {
		if got := parse(text, 10).String(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestIndexesAreASet(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		var x indexes
		want := map[int]bool{}
		for range rapid.IntRange(0, 5).Draw(t, "rounds") {
			more := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 8).Draw(t, "more")
			for _, i := range more {
				want[i] = true
			}
			x = x.with(more)
		}
		if x.total() != len(want) {
			t.Fatalf("%s has %d, want %d", x, x.total(), len(want))
		}
		for i := range 32 {
			if x.has(i) != want[i] {
				t.Fatalf("%s has %d: %t", x, i, x.has(i))
			}
		}
		if diff := cmp.Diff(x, parse(x.String(), 100), cmp.AllowUnexported(span{})); diff != "" && len(want) > 0 {
			t.Fatal(diff)
		}
	})
}

func TestPauseDoubles(t *testing.T) {
	now := time.Unix(0, 0)
	var got []time.Duration
	for n := range 9 {
		got = append(got, pauseAfter(n, now, now)/time.Second)
	}
	if diff := cmp.Diff([]time.Duration{0, 10, 20, 40, 80, 160, 320, 600, 600}, got); diff != "" {
		t.Error(diff)
	}
	if d := pauseAfter(2, now, now.Add(15*time.Second)); d != 5*time.Second {
		t.Errorf("what is left: %s", d)
	}
}

func TestPodOfAnIndex(t *testing.T) {
	n, mode := int32(3), batchv1.IndexedCompletion
	w := newWorld(1, &n)
	w.job.Spec.CompletionMode = &mode
	w.job.Spec.BackoffLimitPerIndex = &n
	w.job.Name = strings.Repeat("j", 63)
	pod := newPod(w.job, slot{index: 12, failures: 1, ignored: 2})
	want := map[string]string{batchv1.JobCompletionIndexAnnotation: "12", batchv1.JobIndexFailureCountAnnotation: "1", batchv1.JobIndexIgnoredFailureCountAnnotation: "2"}
	if diff := cmp.Diff(want, pod.Annotations); diff != "" {
		t.Error(diff)
	}
	if pod.Labels[batchv1.JobCompletionIndexAnnotation] != "12" || pod.Spec.Hostname != w.job.Name+"-12" ||
		pod.GenerateName != strings.Repeat("j", 54)+"-12-" || !tracked(pod) || indexOf(pod) != 12 {
		t.Errorf("pod: %+v", pod)
	}
	if e := pod.Spec.Containers[0].Env; len(e) != 1 || e[0].Name != "JOB_COMPLETION_INDEX" {
		t.Errorf("env: %v", e)
	}
	if len(w.job.Spec.Template.Spec.Containers[0].Env) != 0 {
		t.Error("the template was changed")
	}
}

func TestJudge(t *testing.T) {
	name := "side"
	rules := []batchv1.PodFailurePolicyRule{
		{Action: "Ignore", OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}},
		{Action: "FailJob", OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "In", Values: []int32{42}}},
		{Action: "Count", OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{ContainerName: &name, Operator: "NotIn", Values: []int32{1}}},
	}
	j := &batchv1.Job{Spec: batchv1.JobSpec{PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: rules}}}
	pod := func(container string, code int32, disrupted bool) *corev1.Pod {
		p := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{
			{Name: container, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}},
		}}}
		p.Namespace, p.Name = "ns", "p"
		if disrupted {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
		}
		return p
	}
	for _, c := range []struct {
		pod  *corev1.Pod
		want verdict
	}{
		{pod("c", 42, true), verdict{"Ignore", "Pod ns/p has condition DisruptionTarget matching Ignore rule at index 0"}},
		{pod("c", 42, false), verdict{"FailJob", "Container c for pod ns/p failed with exit code 42 matching FailJob rule at index 1"}},
		{pod("side", 7, false), verdict{"Count", "Container side for pod ns/p failed with exit code 7 matching Count rule at index 2"}},
		{pod("side", 1, false), verdict{}},
		{pod("side", 0, false), verdict{}},
		{pod("c", 7, false), verdict{}},
	} {
		if got := judge(j, c.pod); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
}

// The answer to a write that a pod went with has the revision from before it,
// so that a view which shows that revision may show the pod still.
func TestRemoved(t *testing.T) {
	now, grace, none := &metav1.Time{}, int64(30), int64(0)
	for name, tc := range map[string]struct {
		meta metav1.ObjectMeta
		want bool
	}{
		"lives":                   {metav1.ObjectMeta{}, false},
		"its node stops it":       {metav1.ObjectMeta{DeletionTimestamp: now, DeletionGracePeriodSeconds: &grace}, false},
		"another finalizer stays": {metav1.ObjectMeta{DeletionTimestamp: now, DeletionGracePeriodSeconds: &none, Finalizers: []string{"a/b"}}, false},
		"nothing held it":         {metav1.ObjectMeta{DeletionTimestamp: now, DeletionGracePeriodSeconds: &none}, true},
	} {
		if got := removed(&corev1.Pod{ObjectMeta: tc.meta}); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
