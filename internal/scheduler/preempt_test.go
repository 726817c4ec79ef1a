package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

type budgetList []*policyv1.PodDisruptionBudget

func (b budgetList) List(string, labels.Selector) []*policyv1.PodDisruptionBudget { return b }

func priority(n int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Priority = &n }
}

func startedAt(second int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.StartTime = &metav1.Time{Time: time.Unix(second, 0)} }
}

// budget forbids that pods of an app go.
func budget(app string, allowed int32) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: app},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: ofApp(app)},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
	}
}

// TestWhoHasToGo: nodes a and b have 4 CPUs each.
func TestWhoHasToGo(t *testing.T) {
	low, high := priority(1), priority(100)
	cases := []struct {
		name    string
		on      map[string][]*corev1.Pod
		budgets budgetList
		pod     *corev1.Pod
		node    string
		want    []string
		why     string
	}{
		{
			name: "the lowest of the highest", pod: newPod("p", cpu("3"), high), node: "b", want: []string{"b1"},
			on: map[string][]*corev1.Pod{"a": {newPod("a1", cpu("3"), priority(5))}, "b": {newPod("b1", cpu("3"), low)}},
		},
		{
			name: "only as many as needed", pod: newPod("p", cpu("2"), high), node: "a", want: []string{"a2"},
			on: map[string][]*corev1.Pod{
				"a": {newPod("a1", cpu("2"), priority(2)), newPod("a2", cpu("2"), low)}, "b": {newPod("b1", cpu("4"), priority(100))},
			},
		},
		{
			name: "a budget is spared", pod: newPod("p", cpu("4"), high), node: "b", want: []string{"b1"},
			on:      map[string][]*corev1.Pod{"a": {newPod("a1", cpu("3"), low, labelled("x"))}, "b": {newPod("b1", cpu("3"), priority(50))}},
			budgets: budgetList{budget("x", 0)},
		},
		{
			name: "a budget that allows one", pod: newPod("p", cpu("4"), high), node: "a", want: []string{"a1"},
			on:      map[string][]*corev1.Pod{"a": {newPod("a1", cpu("3"), low, labelled("x"))}, "b": {newPod("b1", cpu("3"), priority(50))}},
			budgets: budgetList{budget("x", 1)},
		},
		{
			name: "fewer victims", pod: newPod("p", cpu("4"), high), node: "b", want: []string{"b1"},
			on: map[string][]*corev1.Pod{"a": {newPod("a1", cpu("2"), low), newPod("a2", cpu("2"), low)}, "b": {newPod("b1", cpu("4"), low)}},
		},
		{
			name: "those that started last", pod: newPod("p", cpu("4"), high), node: "b", want: []string{"b1"},
			on: map[string][]*corev1.Pod{"a": {newPod("a1", cpu("4"), low, startedAt(10))}, "b": {newPod("b1", cpu("4"), low, startedAt(20))}},
		},
		{
			name: "anti-affinity of a lower one", pod: newPod("p", high, labelled("y")), node: "a", want: []string{"a1"},
			on: map[string][]*corev1.Pod{
				"a": {newPod("a1", low, awayFrom("y", corev1.LabelHostname))}, "b": {newPod("b1", priority(50), awayFrom("y", corev1.LabelHostname))},
			},
		},
		{
			name: "nobody is lower", pod: newPod("p", cpu("4"), low),
			on:  map[string][]*corev1.Pod{"a": {newPod("a1", cpu("4"), low)}, "b": {newPod("b1", cpu("4"), high)}},
			why: "0/2 nodes are available: 2 No preemption victims found for incoming pod.",
		},
		{
			name: "going does not help", pod: newPod("p", cpu("5"), high),
			on:  map[string][]*corev1.Pod{"a": {newPod("a1", cpu("4"), low)}},
			why: "0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
		},
		{
			name: "on one node there is one too high", pod: newPod("p", cpu("4"), priority(10)),
			on: map[string][]*corev1.Pod{
				"a": {newPod("a1", cpu("1"), low), newPod("a2", cpu("3"), high)}, "b": {newPod("b1", cpu("4"), high)},
			},
			why: "0/2 nodes are available: 1 Insufficient cpu, 1 No preemption victims found for incoming pod.",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, p := bare()
			s.budgets = c.budgets
			for _, n := range []string{"a", "b"} {
				s.cluster.set(newNode(n))
				for _, pod := range c.on[n] {
					s.cluster.addPod(n, pod, framework.UsageOf(pod))
				}
			}
			tr, node, failure := s.choose(p, framework.NewPod(c.pod))
			if failure == nil {
				t.Fatalf("it fits on %s", node.Name)
			}
			now := time.Unix(100, 0)
			found, told := s.candidates(tr, *p.preemption, failure, now)
			if c.why != "" {
				if diff := cmp.Diff(c.why, told.Error()); diff != "" || len(found) > 0 {
					t.Errorf("%d candidates\n%s", len(found), diff)
				}
				return
			}
			best := pickCandidate(found, now)
			var got []string
			for _, v := range best.victims {
				got = append(got, v.Name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || best.node.Name != c.node {
				t.Errorf("on %s:\n%s", best.node.Name, diff)
			}
		})
	}
}

// Pods are bound before they start; preemption goes by when they did.
func TestPreemptionKnowsWhenPodsStarted(t *testing.T) {
	s, p := bare()
	s.budgets, s.queue = budgetList(nil), queue.New(nil, queue.Backoff{})
	now := time.Unix(100, 0)
	for i, node := range []string{"a", "b", "c"} {
		s.cluster.set(newNode(node))
		bound := newPod(node+"1", cpu("4"), priority(1), func(q *corev1.Pod) { q.Spec.NodeName = node })
		s.podChanged(nil, bound, now)
		runs := bound.DeepCopy()
		startedAt([]int64{10, 30, 20}[i])(runs)
		s.podChanged(bound, runs, now)
	}
	tr, _, failure := s.choose(p, framework.NewPod(newPod("p", cpu("4"), priority(100))))
	if failure == nil {
		t.Fatal("it fits")
	}
	found, _ := s.candidates(tr, *p.preemption, failure, now)
	if best := pickCandidate(found, now); best.node.Name != "b" {
		t.Errorf("the pod of %s goes, want that of b, which started last", best.node.Name)
	}
}

// slowAPI answers nobody until the test ends.
type slowAPI struct{ request.Transport }

func (slowAPI) Do(ctx context.Context, _ *request.Request) (runtime.Object, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// The deletion of a victim takes longer than the pod's back-off: no others are
// chosen meanwhile, until it has failed.
func TestVictimsAreChosenOnce(t *testing.T) {
	s, p := bare()
	s.budgets, s.queue, s.inbox, s.binds = budgetList(nil), queue.New(nil, queue.Backoff{}), newInbox(), make(chan struct{}, 1)
	s.pods, s.logger = client.For[*corev1.Pod](client.New(slowAPI{}, catalog.New())), slog.New(slog.DiscardHandler)
	now := time.Unix(100, 0)
	for i, node := range []string{"a", "b"} {
		s.cluster.set(newNode(node))
		s.podChanged(nil, newPod(node+"1", cpu("4"), priority(int32(i)), func(q *corev1.Pod) { q.Spec.NodeName = node }), now)
	}
	ctx, cancel := context.WithCancel(t.Context())
	high := framework.NewPod(newPod("p", cpu("4"), priority(100)))
	preempt := func() outcome {
		tr, _, failure := s.choose(p, high)
		if failure == nil {
			t.Fatal("it fits")
		}
		return s.preempt(ctx, p, tr, failure, now)
	}
	if o := preempt(); o.node != "a" {
		t.Fatalf("at first: %+v", o)
	}
	s.podChanged(nil, newPod("b1", cpu("4"), priority(-1), func(q *corev1.Pod) { q.Spec.NodeName = "b" }), now) // it would hurt less
	if o := preempt(); !o.keep || o.why != "preemption: not eligible due to a terminating pod on the nominated node." {
		t.Errorf("while the victim's deletion is under way: %+v", o)
	}
	cancel()
	s.binders.Wait()
	for _, m := range s.inbox.take() {
		s.handle(m)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer s.binders.Wait()
	defer cancel()
	if o := preempt(); o.node != "b" {
		t.Errorf("after it failed: %+v", o)
	}
}

func TestRoomIsKeptForNominatedPods(t *testing.T) {
	s, p := bare()
	s.cluster.set(newNode("a"))
	high := framework.NewPod(newPod("high", cpu("3"), priority(10)))
	s.nominate(high, "a")
	if _, node, failure := s.choose(p, framework.NewPod(newPod("low", cpu("2")))); failure == nil {
		t.Errorf("a lower pod took the room on %s", node.Name)
	}
	if _, _, failure := s.choose(p, framework.NewPod(newPod("higher", cpu("2"), priority(11)))); failure != nil {
		t.Errorf("a higher pod was kept out: %v", failure)
	}
	if _, node, failure := s.choose(p, high); failure != nil || node.Name != "a" {
		t.Errorf("the nominated pod itself: %v, %v", node, failure)
	}
	s.unnominate("high")
	if _, _, failure := s.choose(p, framework.NewPod(newPod("low", cpu("2")))); failure != nil {
		t.Errorf("the room is still kept: %v", failure)
	}
}

// TestPreemptionTriesLeaveNoTrace: whatever is tried, nodes count afterwards
// what they counted before, and victims are always of lower priority and
// enough.
func TestPreemptionTriesLeaveNoTrace(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		s, p := bare()
		s.budgets = budgetList{budget("x", 1)}
		for i := range 4 {
			s.cluster.set(newNode(fmt.Sprint("n", i), inZone(fmt.Sprint("z", i%2))))
		}
		draw := func(name string) *corev1.Pod {
			changes := []func(*corev1.Pod){
				labelled(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "app")), priority(rapid.Int32Range(0, 4).Draw(t, "priority")),
				cpu(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "cpu"))),
			}
			if rapid.Bool().Draw(t, "away") {
				changes = append(changes, awayFrom("y", corev1.LabelTopologyZone))
			}
			if rapid.Bool().Draw(t, "spread") {
				changes = append(changes, spread("x", corev1.LabelTopologyZone, 1, corev1.DoNotSchedule))
			}
			return newPod(name, changes...)
		}
		for i := range rapid.IntRange(0, 12).Draw(t, "pods") {
			pod := draw(fmt.Sprint("p", i))
			s.cluster.addPod(fmt.Sprint("n", i%4), pod, framework.UsageOf(pod))
		}
		pod := framework.NewPod(draw("new"))
		tr, _, failure := s.choose(p, pod)
		if failure == nil {
			return
		}
		before := failure.Error()
		found, _ := s.candidates(tr, *p.preemption, failure, time.Unix(0, 0))
		if _, _, again := s.choose(p, pod); again == nil || again.Error() != before {
			t.Fatalf("after the tries: %v, before: %v", again, before)
		}
		if len(found) == 0 {
			return
		}
		best := pickCandidate(found, time.Unix(0, 0))
		for _, v := range best.victims {
			if framework.Priority(v.Pod) >= framework.Priority(pod.Pod) {
				t.Fatalf("%s is to go for %s", v.Name, pod.Name)
			}
			s.cluster.removePod(best.node.Name, v.UID)
		}
		tr, _, failure = s.choose(p, pod)
		if failure != nil && s.ask(tr, best.node) != nil {
			t.Fatalf("the victims are gone and the pod does not fit: %v", failure)
		}
	})
}
