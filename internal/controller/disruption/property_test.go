package disruption

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// TestNeverBelowTheBudget: evictions, replacements and news of both come in
// any order, the controller forgets what it wrote at any time, and its writes
// lose against others'. As long as news is not later than the time for which
// an eviction is remembered, there are never fewer healthy pods than the
// budget wants.
func TestNeverBelowTheBudget(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		least := rapid.IntRange(0, 4).Draw(t, "least")
		w := newWorld(least, least+rapid.IntRange(0, 3).Draw(t, "more"))
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"evict", "evict", "see", "count", "count late", "replace", "gone", "wait"}).Draw(t, "what") {
			case "evict":
				w.evict(w.pick(t))
			case "see":
				w.see(rapid.IntRange(1, 3).Draw(t, "news"))
			case "count":
				w.count(w.budget)
			case "count late": // from an older budget, as after a restart
				w.count(w.before)
			case "replace":
				w.add()
			case "gone":
				w.gone(w.pick(t))
			case "wait":
				w.wait(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			}
			if h := w.healthy(); h < least {
				t.Fatalf("%d pods are healthy, the budget wants %d", h, least)
			}
		}
	})
}

// world is the truth, and what the controller sees of it.
type world struct {
	now            time.Time
	next           int
	pods, seen     map[string]*corev1.Pod
	news           []news // what the controller has not seen
	sawTo          int    // the revision up to which it has
	budget, before *policyv1.PodDisruptionBudget
	revision       int
}

// news is a write of a pod; nil: it is gone.
type news struct {
	revision int
	name     string
	pod      *corev1.Pod
}

// put writes a pod.
func (w *world) put(name string, pod *corev1.Pod) {
	w.revision++
	if pod == nil {
		delete(w.pods, name)
	} else {
		w.pods[name] = pod
	}
	w.news = append(w.news, news{w.revision, name, pod})
}

// see brings the next n news to the controller, in order.
func (w *world) see(n int) {
	for ; n > 0 && len(w.news) > 0; n-- {
		next := w.news[0]
		w.news, w.sawTo = w.news[1:], next.revision
		if next.pod == nil {
			delete(w.seen, next.name)
		} else {
			w.seen[next.name] = next.pod
		}
	}
	if len(w.news) == 0 {
		w.sawTo = w.revision
	}
}

func newWorld(least, pods int) *world {
	v := intstr.FromInt32(int32(least))
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "0"}, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &v}}
	w := &world{now: now, pods: map[string]*corev1.Pod{}, seen: map[string]*corev1.Pod{}, budget: b, before: b}
	for range pods {
		w.add()
	}
	w.see(pods)
	return w
}

func (w *world) add() {
	name := fmt.Sprintf("p%02d", w.next)
	w.next++
	w.put(name, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{
		Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}})
}

// pick is a name that was given at some time; nobody may have it any more.
func (w *world) pick(t *rapid.T) string {
	return fmt.Sprintf("p%02d", rapid.IntRange(0, max(0, w.next-1)).Draw(t, "pod"))
}

// evict is the API's eviction, whose write of the budget is atomic and whose
// deletion follows at once.
func (w *world) evict(name string) {
	pod, s := w.pods[name], &w.budget.Status
	if pod == nil || pod.DeletionTimestamp != nil || s.DisruptionsAllowed <= 0 {
		return
	}
	next := w.budget.DeepCopy()
	next.Status.DisruptionsAllowed--
	if next.Status.DisruptedPods == nil {
		next.Status.DisruptedPods = map[string]metav1.Time{}
	}
	next.Status.DisruptedPods[name] = metav1.NewTime(w.now)
	w.store(next)
	pod = pod.DeepCopy()
	pod.DeletionTimestamp = &metav1.Time{Time: w.now}
	w.put(name, pod)
}

func (w *world) gone(name string) {
	if pod := w.pods[name]; pod != nil && pod.DeletionTimestamp != nil {
		w.put(name, nil)
	}
}

// count runs the controller on its view and a version of the budget; the API
// takes what it writes only where that is the newest.
func (w *world) count(b *policyv1.PodDisruptionBudget) {
	var covered []*corev1.Pod
	for _, p := range w.seen {
		covered = append(covered, p)
	}
	revision, _ := strconv.Atoi(b.ResourceVersion)
	p, err := planStatus(b, view{covered: covered, late: w.sawTo < revision}, w.now)
	if err != nil || b.ResourceVersion != w.budget.ResourceVersion {
		return
	}
	next := b.DeepCopy()
	next.Status = p.status
	w.store(next)
}

func (w *world) store(b *policyv1.PodDisruptionBudget) {
	w.revision++
	b.ResourceVersion = fmt.Sprint(w.revision)
	w.before, w.budget = w.budget, b
}

// wait lets time pass; all news has come by then.
func (w *world) wait(d time.Duration) {
	w.now = w.now.Add(d)
	w.see(len(w.news))
}

func (w *world) healthy() int {
	n := 0
	for _, p := range w.pods {
		if p.DeletionTimestamp == nil {
			n++
		}
	}
	return n
}
