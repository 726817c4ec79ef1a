package controller_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	played "github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// What the world of TestPromisesHoldThroughRestarts begins with.
const (
	replicas    = 4 // of each Deployment
	leastReady  = 3 // by the budget of one, by the strategy of the other
	completions = 6
	mostPods    = 14 // by the quota
)

// TestPromisesHoldThroughRestarts: whatever users do, wherever the controllers
// are killed between two writes, however long they are away, and though some
// of their writes meet conflicts and the answers of others are lost, at no
// revision has a Deployment fewer ready pods than its budget or its rolling
// update allow, no pod is deleted before its node has stopped it, and no more
// pods are there than the quota has. When it is over everything is as
// declared, and the Job has counted none of its pods twice.
func TestPromisesHoldThroughRestarts(t *testing.T) {
	property.Few(t, 3, func(r *rapid.T) {
		turns := rapid.SliceOfN(rapid.SampledFrom([]fault{none, none, none, conflict, lost}), 1, 16).Draw(r, "faults")
		steps := rapid.SliceOfN(rapid.IntRange(0, 160), 10, 30).Draw(r, "steps")
		var wrong []string
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, turns)
			for _, n := range steps {
				w.step(n)
			}
			wrong = w.finish()
		})
		if len(wrong) > 0 {
			r.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

// changing is a cluster in which much happens.
type changing struct {
	*testing.T
	c    *testkit.Cluster
	f    *faults
	stop func() // of the controllers

	kept, rolled, pods *tally
	births             *births
	images, bare       int
}

func begin(t *testing.T, turns []fault) *changing {
	w := &changing{T: t, f: &faults{left: -1}}
	w.c = testkit.Start(t, testkit.Options{Nodes: 3, NoControllers: true})
	ready := func(app string) func(*corev1.Pod) int64 {
		return func(p *corev1.Pod) int64 {
			if p.Labels["app"] != app {
				return 0
			}
			return healthy(p)
		}
	}
	w.kept, w.rolled = follow(w.c, replicas, ready("kept")), follow(w.c, replicas, ready("rolled"))
	w.pods = follow(w.c, 0, func(p *corev1.Pod) int64 {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			return 0
		}
		return 1
	})
	w.births = followBirths(w.c)
	w.stop = w.c.Controllers(t, w.f.between)
	await.Until(t, soon, "pods can be made", func() bool {
		_, there := get[*corev1.ServiceAccount](t, w.c, "default", "default")
		return there
	})
	w.declare()
	w.f.become(turns)
	return w
}

func (w *changing) declare() {
	create(w.T, w.c, quotaOf(corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(mostPods, resource.DecimalSI)}))
	least, one := intstr.FromInt32(leastReady), intstr.FromInt32(1)
	create(w.T, w.c, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kept"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: labelsOf("kept")}, MinAvailable: &least},
	})
	create(w.T, w.c, deployment("kept", replicas))
	create(w.T, w.c, deployment("rolled", replicas, func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &one, MaxSurge: &one}}
	}))
	create(w.T, w.c, statefulSet("db", 3))
	create(w.T, w.c, newJob("sums", func(j *batchv1.Job) {
		n, parallel, patience := int32(completions), int32(2), int32(1000)
		j.Spec.Completions, j.Spec.Parallelism, j.Spec.BackoffLimit = &n, &parallel, &patience
		j.Spec.Template.Labels = labelsOf("sums")
		j.Spec.Template.Annotations = map[string]string{played.RunFor: "40s"}
	}))
	rolledOut(w.T, w.c, "kept")
	rolledOut(w.T, w.c, "rolled")
}

// births are the pods that there ever were.
type births struct {
	mu   sync.Mutex
	pods map[types.UID]birth // guarded by mu
}

type birth struct {
	name, app        string
	bound, succeeded bool // ever
}

func followBirths(c *testkit.Cluster) *births {
	b := &births{pods: map[types.UID]birth{}}
	client.InformerFor[*corev1.Pod](c.Informers).OnChange(func(_, new *corev1.Pod) {
		if new == nil {
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		p := b.pods[new.UID]
		p.name, p.app = new.Name, new.Labels["app"]
		p.bound = p.bound || new.Spec.NodeName != ""
		p.succeeded = p.succeeded || new.Status.Phase == corev1.PodSucceeded
		b.pods[new.UID] = p
	})
	return b
}

// of counts the pods of an app, and those of them that succeeded.
func (b *births) of(app string) (all, succeeded int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pods {
		if p.app != app {
			continue
		}
		all++
		if p.succeeded {
			succeeded++
		}
	}
	return all, succeeded
}

// bound are those of the names whose pods ever had a node.
func (b *births) bound(names []string) (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pods {
		if p.bound && slices.Contains(names, p.name) {
			out = append(out, p.name)
		}
	}
	return out
}

// step does what a number stands for, and lets a moment pass.
func (w *changing) step(n int) {
	what, much := n%8, n/8
	switch what {
	case 0:
		w.f.dieAfter(much)
		time.Sleep(2 * time.Second)
		w.stop()
		time.Sleep(time.Duration(much) * time.Second)
		w.f.revive()
		w.stop = w.c.Controllers(w.T, w.f.between)
	case 1, 2:
		w.images++
		image := fmt.Sprint("example/image:", w.images)
		if what == 1 {
			edit(w.T, w.c, "default", "rolled", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = image })
		} else {
			edit(w.T, w.c, "default", "db", func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Image = image })
		}
	case 3:
		size := int32(1 + much%3)
		edit(w.T, w.c, "default", "db", func(s *appsv1.StatefulSet) { s.Spec.Replicas = &size })
	case 4:
		w.oneOf("kept", much, func(p *corev1.Pod) error { return evict(w.T, w.c, p.Name) })
	case 5, 6:
		w.oneOf([]string{"db", "sums"}[what-5], much, w.delete)
	case 7:
		w.bare++
		pod := podOf(fmt.Sprint("bare-", w.bare))
		pod.Labels = labelsOf("bare")
		if _, err := client.For[*corev1.Pod](w.c.Admin).Create(w.Context(), pod); err != nil && !apierrors.IsForbidden(err) {
			w.Errorf("a pod: %v", err)
		}
	}
	time.Sleep(time.Duration(much*much) * 50 * time.Millisecond)
}

// oneOf does something to a pod of an app.
func (w *changing) oneOf(app string, which int, do func(*corev1.Pod) error) {
	pods := list[*corev1.Pod](w.T, w.c, "default", labelsOf(app))
	if len(pods) == 0 {
		return
	}
	err := do(pods[which%len(pods)])
	if err != nil && !apierrors.IsTooManyRequests(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		w.Errorf("a pod of %s: %v", app, err)
	}
}

// delete deletes a pod that is as it was seen.
func (w *changing) delete(p *corev1.Pod) error {
	if p.DeletionTimestamp != nil {
		return nil
	}
	return client.For[*corev1.Pod](w.c.Admin).Delete(w.Context(), p.Namespace, p.Name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &p.ResourceVersion}})
}

// finish lets the faults end and everything come to rest; it tells what is
// not as it should be.
func (w *changing) finish() (wrong []string) {
	w.f.become(nil)
	for _, p := range list[*corev1.Pod](w.T, w.c, "default", labelsOf("bare")) {
		if err := w.delete(p); err != nil {
			w.Errorf("deleting %s: %v", p.Name, err)
		}
	}
	const patience, pause = time.Hour, 10 * time.Second // virtual; the first is many times the longest back-off
	for range patience / pause {
		time.Sleep(pause)
		synctest.Wait()
		if wrong = w.wrong(); len(wrong) == 0 {
			break
		}
	}
	return wrong
}

func (w *changing) wrong() (wrong []string) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	for name, seen := range map[string]*tally{"kept": w.kept, "rolled": w.rolled} {
		least, _ := seen.bounds()
		check(least >= leastReady, "%d pods of %s were ready at one time, at least %d were promised", least, name, leastReady)
		d, _ := get[*appsv1.Deployment](w.T, w.c, "default", name)
		s := d.Status
		check(s.UpdatedReplicas == replicas && s.Replicas == replicas && s.AvailableReplicas == replicas, "at rest the status of %s is %+v", name, s)
	}
	_, most := w.pods.bounds()
	check(most <= mostPods, "%d pods were there at one time, the quota is %d", most, mostPods)
	forced := w.births.bound(w.f.deletedByForce())
	check(len(forced) == 0, "deleted before their nodes had stopped them: %v", forced)
	w.set(check)
	w.job(check)
	q, _ := get[*corev1.ResourceQuota](w.T, w.c, "default", "q")
	used := q.Status.Used[corev1.ResourcePods]
	there := len(w.named("kept")) + len(w.named("rolled")) + len(w.named("db"))
	check(used.Value() == int64(there), "the quota counts %s pods of %d", used.String(), there)
	return wrong
}

func (w *changing) named(app string) map[string]*corev1.Pod {
	out := map[string]*corev1.Pod{}
	for _, p := range list[*corev1.Pod](w.T, w.c, "default", labelsOf(app)) {
		out[p.Name] = p
	}
	return out
}

// set: one pod per ordinal, of the newest template.
func (w *changing) set(check func(ok bool, format string, args ...any)) {
	db, _ := get[*appsv1.StatefulSet](w.T, w.c, "default", "db")
	pods, n := w.named("db"), int(*db.Spec.Replicas)
	check(len(pods) == n && int(db.Status.AvailableReplicas) == n && int(db.Status.UpdatedReplicas) == n,
		"at rest the set has %d pods, its status is %+v", len(pods), db.Status)
	for i := range n {
		p := pods[fmt.Sprint("db-", i)]
		check(p != nil && p.Spec.Containers[0].Image == db.Spec.Template.Spec.Containers[0].Image, "db-%d is %+v", i, p)
	}
}

// job: it is done, and no pod is counted twice. One that is too many, as when
// the answer to its creation was lost, may end uncounted, or as failed.
func (w *changing) job(check func(ok bool, format string, args ...any)) {
	job, _ := get[*batchv1.Job](w.T, w.c, "default", "sums")
	all, done := w.births.of("sums")
	s := job.Status
	check(s.CompletionTime != nil && int(s.Succeeded) >= completions && int(s.Succeeded) <= done && int(s.Succeeded+s.Failed) <= all,
		"of %d pods %d succeeded, the status is %+v", all, done, s)
	for _, p := range w.named("sums") {
		check(len(p.Finalizers) == 0, "%s is still tracked", p.Name)
	}
}
