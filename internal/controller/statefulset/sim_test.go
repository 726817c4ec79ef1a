package statefulset

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// world is a cluster reduced to one set, its pods and claims. The controller
// looks at views, which may lag behind; revisions are called by their image.
type world struct {
	now    time.Time
	set    *appsv1.StatefulSet
	pods   map[int]*corev1.Pod
	view   map[int]*corev1.Pod
	unseen map[int]bool // the controller's writes that the view does not show yet
	claims map[string]*corev1.PersistentVolumeClaim
	made   int
	log    []string
}

func newWorld(replicas int32) *world {
	w := &world{
		now: time.Unix(10_000, 0), pods: map[int]*corev1.Pod{}, view: map[int]*corev1.Pod{}, unseen: map[int]bool{},
		claims: map[string]*corev1.PersistentVolumeClaim{},
	}
	zero := int32(0)
	w.set = &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db", UID: "set", Generation: 1},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, ServiceName: "db", PodManagementPolicy: appsv1.OrderedReadyPodManagement,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
				Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &zero},
			},
			Template: *template("v1"),
		},
	}
	return w
}

func template(image string) *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
	}
}

func (w *world) edit(fn func(*appsv1.StatefulSet)) {
	w.set = w.set.DeepCopy()
	fn(w.set)
	w.set.Generation++
}

func (w *world) input() input {
	image := w.set.Spec.Template.Spec.Containers[0].Image
	in := input{
		set: w.set, update: revision{image, template(image)}, pods: maps.Clone(w.view), now: w.now,
		claim: func(name string) (*corev1.PersistentVolumeClaim, bool) { c, ok := w.claims[name]; return c, ok },
	}
	in.current = in.update
	if name := w.set.Status.CurrentRevision; name != "" {
		in.current = revision{name, template(name)}
	}
	return in
}

// reconcile is one run of the controller.
func (w *world) reconcile() []action {
	if len(w.unseen) > 0 {
		return nil
	}
	in := w.input()
	actions := plan(in)
	for _, a := range actions {
		w.write(a)
	}
	status, _ := planStatus(in, nil)
	w.set = w.set.DeepCopy()
	w.set.Status = status
	return actions
}

func (w *world) write(a action) {
	for _, c := range a.claims {
		switch a.verb {
		case create, claim:
			w.claims[c.Name] = c
			w.log = append(w.log, "create claim "+c.Name)
		case disown:
			w.claims[c.Name] = c
			w.log = append(w.log, "owners of claim "+c.Name+": "+owners(c))
		}
	}
	if a.verb == claim || a.verb == disown || a.verb == foreign {
		return
	}
	_, ordinal, _ := split(a.pod.Name)
	have := w.pods[ordinal]
	switch a.verb {
	case create:
		if have != nil {
			return // the API refuses
		}
		w.made++
		made := a.pod.DeepCopy()
		made.UID, made.Status.Phase = types.UID(fmt.Sprint("pod", w.made)), corev1.PodPending
		w.pods[ordinal] = made
	case remove, replace:
		if have == nil || have.UID != a.pod.UID {
			return
		}
		w.change(ordinal, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: w.now} })
	}
	w.unseen[ordinal] = true
	w.log = append(w.log, [...]string{"create ", "delete ", "replace ", "label "}[a.verb]+a.pod.Name)
}

func owners(c *corev1.PersistentVolumeClaim) string {
	var out []string
	for _, ref := range c.OwnerReferences {
		out = append(out, ref.Kind+" "+ref.Name)
	}
	return strings.Join(out, ", ")
}

func (w *world) change(ordinal int, fn func(*corev1.Pod)) {
	if w.pods[ordinal] == nil {
		return
	}
	changed := w.pods[ordinal].DeepCopy()
	fn(changed)
	w.pods[ordinal] = changed
}

// see brings the view of an ordinal up to date.
func (w *world) see(ordinal int) {
	delete(w.unseen, ordinal)
	if pod := w.pods[ordinal]; pod != nil {
		w.view[ordinal] = pod
	} else {
		delete(w.view, ordinal)
	}
}

func (w *world) seeAll() {
	for ordinal := range 40 {
		w.see(ordinal)
	}
}

func (w *world) ready(ordinal int) {
	w.change(ordinal, func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.now)}}
	})
}

func (w *world) unready(ordinal int) {
	w.change(ordinal, func(p *corev1.Pod) { p.Status.Phase, p.Status.Conditions = corev1.PodRunning, nil })
}

// gone ends a pod that is being deleted.
func (w *world) gone(ordinal int) {
	if pod := w.pods[ordinal]; pod != nil && pod.DeletionTimestamp != nil {
		delete(w.pods, ordinal)
	}
}

// settle lets everything happen until nothing moves any more, and it would not
// with time.
func (w *world) settle() {
	quiet := 0
	for range 500 {
		w.seeAll()
		before := w.set.Status
		moved := len(w.reconcile()) > 0 || !equality.Semantic.DeepEqual(before, w.set.Status)
		for ordinal, pod := range w.pods {
			if pod.DeletionTimestamp != nil {
				w.gone(ordinal)
				moved = true
			} else if pod.Status.Phase == corev1.PodPending {
				w.ready(ordinal)
				moved = true
			}
		}
		w.now = w.now.Add(10 * time.Second)
		if quiet++; moved {
			quiet = 0
		}
		if quiet > 2 {
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
	for _, ordinal := range slices.Sorted(maps.Keys(w.pods)) {
		pod := w.pods[ordinal]
		state := strings.ToLower(string(pod.Status.Phase))
		if len(pod.Status.Conditions) > 0 {
			state = "ready"
		}
		if pod.DeletionTimestamp != nil {
			state += ", terminating"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", pod.Name, pod.Labels[revisionLabel], state)
	}
	s := w.set.Status
	fmt.Fprintf(&b, "status: %d replicas, %d ready, %d available; current %s: %d, update %s: %d\n",
		s.Replicas, s.ReadyReplicas, s.AvailableReplicas, s.CurrentRevision, s.CurrentReplicas, s.UpdateRevision, s.UpdatedReplicas)
	return b.String()
}
