package controller_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

func disruptionBudget(name string, least, most *intstr.IntOrString) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labelsOf(name)}, MinAvailable: least, MaxUnavailable: most,
		},
	}
}

func count(text string) *intstr.IntOrString {
	v := intstr.Parse(text)
	return &v
}

func lonePod(app, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: labelsOf(app)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}}},
	}
}

// counted waits until a budget's status is of its newest form and says so.
func counted(t *testing.T, c *testkit.Cluster, name string, healthy, desired, expected, allowed int32) {
	t.Helper()
	var last policyv1.PodDisruptionBudgetStatus
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the budget %s was last seen as %+v", name, last)
		}
	})
	testkit.Eventually(t, soon, fmt.Sprintf("budget %s has %d of %d healthy, needs %d, allows %d", name, healthy, expected, desired, allowed), func() bool {
		b, ok := get[*policyv1.PodDisruptionBudget](t, c, "default", name)
		if !ok {
			return false
		}
		last = b.Status
		return last.ObservedGeneration == b.Generation && last.CurrentHealthy == healthy && last.DesiredHealthy == desired &&
			last.ExpectedPods == expected && last.DisruptionsAllowed == allowed
	})
}

func evict(t *testing.T, c *testkit.Cluster, name string) error {
	t.Helper()
	_, err := client.For[*corev1.Pod](c.Admin).Act(t.Context(), "default", name, "eviction",
		&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}})
	return err
}

// TestEvictionsUnderABudget: of three pods under minAvailable 2 one may go;
// a second one only when a replacement is ready.
func TestEvictionsUnderABudget(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	create(t, c, disruptionBudget("web", count("2"), nil))
	counted(t, c, "web", 0, 2, 0, 0)
	for i := range 3 {
		create(t, c, lonePod("web", fmt.Sprint("web-", i)))
	}
	counted(t, c, "web", 3, 2, 3, 1)
	if err := evict(t, c, "web-0"); err != nil {
		t.Fatal("the first eviction: ", err)
	}
	if err := evict(t, c, "web-1"); !apierrors.IsTooManyRequests(err) {
		t.Fatalf("the second eviction: %v, want 429", err)
	}
	gone[*corev1.Pod](t, c, "default", "web-0")
	counted(t, c, "web", 2, 2, 2, 0)
	if err := evict(t, c, "web-1"); !apierrors.IsTooManyRequests(err) {
		t.Fatalf("the second eviction after the first pod is gone: %v, want 429", err)
	}
	create(t, c, lonePod("web", "web-3"))
	counted(t, c, "web", 3, 2, 3, 1)
	if err := evict(t, c, "web-1"); err != nil {
		t.Fatal("the second eviction with a replacement: ", err)
	}
	counted(t, c, "web", 2, 2, 2, 0)
	testkit.Eventually(t, soon, "an event says that there were no pods at first", func() bool {
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			if e.Reason == "NoPods" && e.Message == "No matching pods found" && e.InvolvedObject.Name == "web" && e.InvolvedObject.Kind == "PodDisruptionBudget" {
				return true
			}
		}
		return false
	})
}

// TestBudgetsFollowTheScale: shares are of what the Deployment wants, also
// before its pods follow.
func TestBudgetsFollowTheScale(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true})
	create(t, c, deployment("web", 4))
	rolledOut(t, c, "web")
	create(t, c, disruptionBudget("web", nil, count("25%")))
	counted(t, c, "web", 4, 3, 4, 1)
	edit(t, c, "default", "web", func(b *policyv1.PodDisruptionBudget) {
		b.Spec.MinAvailable, b.Spec.MaxUnavailable = count("50%"), nil
	})
	counted(t, c, "web", 4, 2, 4, 2)
	scale := func(n int32) {
		edit(t, c, "default", "web", func(d *appsv1.Deployment) { d.Spec.Replicas = &n })
	}
	scale(3)
	counted(t, c, "web", 3, 2, 3, 1)
	scale(6)
	counted(t, c, "web", 6, 3, 6, 3)
}

// TestBudgetOfUncountablePodsAllowsNothing: pods of a kind without a scale
// cannot be counted by shares; once the budget is a number they can.
func TestBudgetOfUncountablePodsAllowsNothing(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	yes := true
	pod := lonePod("job", "job-1")
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: "Herd", Name: "h", UID: "1", Controller: &yes}}
	create(t, c, pod)
	create(t, c, disruptionBudget("job", nil, count("1")))
	const why = `no matches for kind "Herd" in version "example.com/v1"`
	testkit.Eventually(t, soon, "the condition says why", func() bool {
		b, _ := get[*policyv1.PodDisruptionBudget](t, c, "default", "job")
		for _, cond := range b.Status.Conditions {
			if cond.Reason == policyv1.SyncFailedReason && cond.Message == why && b.Status.DisruptionsAllowed == 0 {
				return true
			}
		}
		return false
	})
	testkit.Eventually(t, soon, "an event says why", func() bool {
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			if e.Reason == "CalculateExpectedPodCountFailed" && e.Message == "Failed to calculate the number of expected pods: "+why {
				return true
			}
		}
		return false
	})
	edit(t, c, "default", "job", func(b *policyv1.PodDisruptionBudget) { b.Spec.MinAvailable, b.Spec.MaxUnavailable = count("0"), nil })
	counted(t, c, "job", 1, 0, 1, 1)
}

// TestMarksOfPodsThatStayAreTakenBack: two minutes after a pod was marked to
// go it is not going, and the mark says so.
func TestMarksOfPodsThatStayAreTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{Nodes: 1})
		create(t, c, lonePod("web", "web"))
		testkit.Eventually(t, soon, "it runs", func() bool {
			p, _ := get[*corev1.Pod](t, c, "default", "web")
			return p.Status.Phase == corev1.PodRunning
		})
		p, _ := get[*corev1.Pod](t, c, "default", "web")
		marked := p.DeepCopy()
		marked.Status.Conditions = append(marked.Status.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", LastTransitionTime: metav1.Now()})
		if _, err := client.For[*corev1.Pod](c.Admin).UpdateStatus(t.Context(), marked); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		testkit.Eventually(t, 3*time.Minute, "the mark is taken back", func() bool {
			p, _ := get[*corev1.Pod](t, c, "default", "web")
			for _, cond := range p.Status.Conditions {
				if cond.Type == corev1.DisruptionTarget {
					return cond.Status == corev1.ConditionFalse
				}
			}
			return false
		})
		if took := time.Since(begun); took < 118*time.Second || took > 125*time.Second {
			t.Errorf("taken back after %s, want two minutes", took)
		}
	})
}
