package deployment

import (
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// world is a cluster reduced to what a rollout can see and do: a Deployment,
// its sets, and pods as counts. Views are what informers would show; they may
// lag behind. Writes to an object that moved on conflict.
type world struct {
	now     time.Time
	d       *appsv1.Deployment
	sets    map[string]*appsv1.ReplicaSet
	ready   map[string]int32 // pods by set
	unready map[string]int32

	viewD    *appsv1.Deployment
	viewSets map[string]*appsv1.ReplicaSet
	written  map[string]int // revision of the controller's last write, by set
	revision int
	log      []string // of writes
}

func newWorld(replicas int32, surge, unavailable intstr.IntOrString) *world {
	deadline, history := int32(600), int32(10)
	w := &world{
		now: time.Unix(1000, 0), sets: map[string]*appsv1.ReplicaSet{}, viewSets: map[string]*appsv1.ReplicaSet{},
		ready: map[string]int32{}, unready: map[string]int32{}, written: map[string]int{},
	}
	w.d = &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "d", Generation: 1, ResourceVersion: "0"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, ProgressDeadlineSeconds: &deadline, RevisionHistoryLimit: &history,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "v1"}}},
			},
		},
	}
	return w
}

func (w *world) stamp(obj metav1.Object) {
	w.revision++
	obj.SetResourceVersion(strconv.Itoa(w.revision))
}

// edit is a user's change of the Deployment.
func (w *world) edit(fn func(d *appsv1.Deployment)) {
	w.d = w.d.DeepCopy()
	fn(w.d)
	w.d.Generation++
	w.stamp(w.d)
}

func (w *world) image(name string) {
	w.edit(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = name })
}

// see brings the views up to date: all, or the named object's.
func (w *world) see(name string) {
	if name == "" || name == w.d.Name {
		w.viewD = w.d
	}
	for n, rs := range w.sets {
		if name == "" || name == n {
			w.viewSets[n] = rs
		}
	}
	for n := range w.viewSets {
		if w.sets[n] == nil && (name == "" || name == n) {
			delete(w.viewSets, n)
		}
	}
}

// reconcile is one run of the controller over the views.
func (w *world) reconcile() *rollout {
	if w.viewD == nil || !w.settled() {
		return nil
	}
	sets := make([]*appsv1.ReplicaSet, 0, len(w.viewSets))
	for _, n := range w.names(w.viewSets) {
		sets = append(sets, w.viewSets[n])
	}
	r := run(w.viewD, sets, w.podsBySet(), w.now)
	for _, o := range r.ops {
		if !w.write(o) {
			return r
		}
	}
	if w.d.ResourceVersion == r.d.ResourceVersion {
		before := w.d
		next := w.d.DeepCopy()
		next.Status, next.Annotations = r.d.Status, r.d.Annotations
		if !sameJSON(before, next) {
			w.stamp(next)
			w.d = next
		}
	}
	return r
}

// settled tells whether the views show what the controller wrote.
func (w *world) settled() bool {
	for name, revision := range w.written {
		have := 0
		if rs := w.viewSets[name]; rs != nil {
			have, _ = strconv.Atoi(rs.ResourceVersion)
		}
		if have < revision && w.sets[name] != nil {
			return false
		}
	}
	return true
}

// write does one operation as the API would; false on a conflict.
func (w *world) write(o op) bool {
	have := w.sets[o.set.Name]
	switch o.kind {
	case opCreate:
		if have != nil {
			return sameTemplate(&have.Spec.Template, &o.set.Spec.Template)
		}
		made := o.set.DeepCopy()
		made.UID, made.Generation = types.UID(made.Name), 1
		made.CreationTimestamp = metav1.NewTime(w.now)
		w.stamp(made)
		w.sets[made.Name], w.written[made.Name] = made, w.revision
	case opUpdate:
		if have == nil || have.ResourceVersion != o.set.ResourceVersion {
			return false
		}
		next := o.set.DeepCopy()
		next.Status, next.Generation = have.Status, have.Generation+1
		w.stamp(next)
		w.sets[next.Name], w.written[next.Name] = next, w.revision
	case opDelete:
		if have == nil {
			return false
		}
		delete(w.sets, o.set.Name)
	}
	if o.event != "" {
		w.log = append(w.log, o.event)
	}
	return true
}

// step is one run of the replica set controller for a set: it creates and
// deletes pods (unready ones first) and writes the status.
func (w *world) step(name string) {
	rs := w.sets[name]
	if rs == nil {
		return
	}
	want := *rs.Spec.Replicas
	for w.ready[name]+w.unready[name] < want {
		w.unready[name]++
	}
	for w.ready[name]+w.unready[name] > want {
		if w.unready[name] > 0 {
			w.unready[name]--
		} else {
			w.ready[name]--
		}
	}
	w.report(name)
}

// report writes a set's status.
func (w *world) report(name string) {
	rs := w.sets[name]
	if rs == nil {
		return
	}
	next := rs.DeepCopy()
	zero := int32(0)
	next.Status = appsv1.ReplicaSetStatus{
		Replicas: w.ready[name] + w.unready[name], ReadyReplicas: w.ready[name], AvailableReplicas: w.ready[name],
		FullyLabeledReplicas: w.ready[name] + w.unready[name], ObservedGeneration: rs.Generation, TerminatingReplicas: &zero,
	}
	if !sameJSON(rs, next) {
		w.stamp(next)
		w.sets[name] = next
	}
}

// becomeReady makes up to n pods of a set ready.
func (w *world) becomeReady(name string, n int32) {
	n = min(n, w.unready[name])
	w.ready[name] += n
	w.unready[name] -= n
}

// settle lets everything happen until nothing moves; pods of images in broken
// stay unready.
func (w *world) settle(broken ...string) {
	for range 200 {
		before := w.revision
		w.see("")
		w.reconcile()
		for _, n := range w.names(w.sets) {
			w.step(n)
			if !slices.Contains(broken, w.sets[n].Spec.Template.Spec.Containers[0].Image) {
				w.becomeReady(n, 1000)
			}
			w.report(n)
		}
		if w.revision == before {
			return
		}
	}
	panic("the world does not settle")
}

func (w *world) names(sets map[string]*appsv1.ReplicaSet) []string {
	out := make([]string, 0, len(sets))
	for n := range sets {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b string) int { return compareCreation(sets[a], sets[b]) })
	return out
}

func (w *world) podsBySet() map[types.UID][]*corev1.Pod {
	out := map[types.UID][]*corev1.Pod{}
	for n, rs := range w.sets {
		for range w.ready[n] + w.unready[n] {
			out[rs.UID] = append(out[rs.UID], &corev1.Pod{})
		}
	}
	return out
}

// totals are the pods asked for, those there, and those ready.
func (w *world) totals() (asked, there, ready int32) {
	for n, rs := range w.sets {
		asked += *rs.Spec.Replicas
		there += w.ready[n] + w.unready[n]
		ready += w.ready[n]
	}
	return asked, there, ready
}

func sameJSON(a, b metav1.Object) bool { return flat(a) == flat(b) }
