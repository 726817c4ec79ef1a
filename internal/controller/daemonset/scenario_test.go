package daemonset

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// world is a cluster reduced to one DaemonSet, nodes and pods. Templates are
// called by their image.
type world struct {
	now   time.Time
	ds    *appsv1.DaemonSet
	nodes map[string]*corev1.Node
	pods  map[string]*corev1.Pod // by name
	fails backoffs
	made  int
	moves int // changes of pods so far
	log   []string
}

func newWorld() *world {
	w := &world{now: time.Unix(10_000, 0), nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}}
	one, zero := intstr.FromInt32(1), intstr.FromInt32(0)
	w.ds = &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d", UID: "ds", Generation: 1},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "d"}},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &one, MaxSurge: &zero},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "d"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "v1"}}},
			},
		},
	}
	return w
}

func (w *world) node(name string) {
	w.nodes[name] = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}}
}

func (w *world) input() input {
	in := input{ds: w.ds, hash: w.ds.Spec.Template.Spec.Containers[0].Image, pods: map[string][]*corev1.Pod{}, now: w.now,
		backoff: func(node string) time.Duration { return w.fails.left(spot{w.ds.UID, node}, w.now) }}
	for _, n := range w.nodes {
		in.nodes = append(in.nodes, n)
	}
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		pod := w.pods[name]
		in.pods[nodeOf(pod)] = append(in.pods[nodeOf(pod)], pod)
	}
	return in
}

// reconcile is one run of the controller.
func (w *world) reconcile() work {
	in := w.input()
	did := plan(in)
	for _, node := range did.create {
		w.made++
		pod := newPod(w.ds, in.hash, node)
		pod.Name, pod.UID = fmt.Sprintf("d-%02d", w.made), types.UID(fmt.Sprint(w.made))
		pod.CreationTimestamp, pod.Status.Phase = metav1.NewTime(w.now), corev1.PodPending
		w.pods[pod.Name] = pod
		w.log = append(w.log, fmt.Sprintf("create %s on %s", pod.Name, node))
	}
	for _, gone := range did.remove {
		if gone.why == failed {
			w.fails.next(spot{w.ds.UID, nodeOf(gone.pod)}, w.now)
		}
		w.change(gone.pod.Name, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: w.now} })
		w.log = append(w.log, fmt.Sprintf("delete %s%s", gone.pod.Name, [...]string{"", ", failed", ", succeeded"}[gone.why]))
	}
	status, _ := planStatus(in, nil)
	w.ds = w.ds.DeepCopy()
	w.ds.Status = status
	return did
}

func (w *world) change(name string, fn func(*corev1.Pod)) {
	if w.pods[name] == nil {
		return
	}
	changed := w.pods[name].DeepCopy()
	fn(changed)
	w.moves++
	w.pods[name] = changed
}

// run lets what was decided happen: pods are bound and become ready unless
// their image is broken, and those that are deleted go.
func (w *world) run(broken string) {
	for name, pod := range w.pods {
		if pod.DeletionTimestamp != nil {
			delete(w.pods, name)
			w.moves++
			continue
		}
		if pod.Status.Phase != corev1.PodPending {
			continue
		}
		w.change(name, func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status.Phase = nodeOf(p), corev1.PodRunning
			if p.Spec.Containers[0].Image != broken {
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.now)}}
			}
		})
	}
}

func (w *world) settle(broken string) {
	for range 200 {
		did := w.reconcile()
		w.now = w.now.Add(time.Second)
		before := w.moves
		w.run(broken)
		if len(did.create)+len(did.remove) == 0 && before == w.moves {
			w.reconcile()
			return
		}
	}
	panic("the world does not settle")
}

func (w *world) describe() string {
	var b strings.Builder
	for _, line := range w.log {
		fmt.Fprintln(&b, line)
	}
	w.log = nil
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		pod := w.pods[name]
		state := strings.ToLower(string(pod.Status.Phase))
		if len(pod.Status.Conditions) > 0 {
			state = "ready"
		}
		if pod.DeletionTimestamp != nil {
			state += ", terminating"
		}
		fmt.Fprintf(&b, "%s %s on %s: %s\n", name, pod.Spec.Containers[0].Image, nodeOf(pod), state)
	}
	s := w.ds.Status
	fmt.Fprintf(&b, "status: %d desired, %d current, %d updated, %d ready, %d available, %d unavailable, %d misscheduled\n", s.DesiredNumberScheduled,
		s.CurrentNumberScheduled, s.UpdatedNumberScheduled, s.NumberReady, s.NumberAvailable, s.NumberUnavailable, s.NumberMisscheduled)
	return b.String()
}

// TestScenarios plays the texts in testdata; run it with -rewrite to take the
// present output over. The commands:
//
//	new nodes=(a,b,...)
//	    nodes and a DaemonSet of image v1
//	edit [image=I] [surge=X] [unavailable=X] [ondelete] [selector=NODE]
//	    what a user does
//	node NAME [taint=KEY:EFFECT] [gone]
//	    a node comes, changes or goes
//	sync
//	    one run of the controller
//	run [broken=IMAGE]
//	    nodes do what is asked of them
//	settle [broken=IMAGE]
//	    both until nothing moves
//	fail|succeed|delete POD
//	    what becomes of a pod; delete is a user's
//	wait SECONDS
//	    time passes
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var broken string
			d.MaybeScanArgs(t, "broken", &broken)
			switch d.Cmd {
			case "new":
				w = newWorld()
				for _, name := range d.CmdArgs[0].Vals {
					w.node(name)
				}
			case "edit":
				w.edit(t, d)
			case "node":
				w.changeNode(t, d)
			case "sync":
				w.reconcile()
			case "run":
				w.run(broken)
			case "settle":
				w.settle(broken)
			case "wait":
				seconds, err := strconv.Atoi(d.CmdArgs[0].Key)
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				w.now = w.now.Add(time.Duration(seconds) * time.Second)
			default:
				w.change(d.CmdArgs[0].Key, func(p *corev1.Pod) { happen(t, d, w, p) })
			}
			return w.describe()
		})
	})
}

func happen(t *testing.T, d *datadriven.TestData, w *world, p *corev1.Pod) {
	switch d.Cmd {
	case "fail":
		p.Status.Phase, p.Status.Conditions = corev1.PodFailed, nil
	case "succeed":
		p.Status.Phase, p.Status.Conditions = corev1.PodSucceeded, nil
	case "delete":
		p.DeletionTimestamp = &metav1.Time{Time: w.now}
	default:
		d.Fatalf(t, "no such command")
	}
}

func (w *world) edit(t *testing.T, d *datadriven.TestData) {
	w.ds = w.ds.DeepCopy()
	w.ds.Generation++
	for _, arg := range d.CmdArgs {
		switch s := &w.ds.Spec; arg.Key {
		case "image":
			s.Template.Spec.Containers[0].Image = arg.Vals[0]
		case "surge":
			n := intstr.Parse(arg.Vals[0])
			s.UpdateStrategy.RollingUpdate.MaxSurge = &n
		case "unavailable":
			n := intstr.Parse(arg.Vals[0])
			s.UpdateStrategy.RollingUpdate.MaxUnavailable = &n
		case "ondelete":
			s.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
		case "selector":
			s.Template.Spec.NodeSelector = map[string]string{"name": arg.Vals[0]}
		default:
			d.Fatalf(t, "no such argument: %s", arg.Key)
		}
	}
}

func (w *world) changeNode(t *testing.T, d *datadriven.TestData) {
	name := d.CmdArgs[0].Key
	w.node(name)
	for _, arg := range d.CmdArgs[1:] {
		switch arg.Key {
		case "taint":
			key, effect, _ := strings.Cut(arg.Vals[0], ":")
			w.nodes[name].Spec.Taints = []corev1.Taint{{Key: key, Effect: corev1.TaintEffect(effect)}}
		case "gone":
			delete(w.nodes, name)
		default:
			d.Fatalf(t, "no such argument: %s", arg.Key)
		}
	}
}
