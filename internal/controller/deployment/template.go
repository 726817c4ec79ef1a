package deployment

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

const hashLabel = appsv1.DefaultDeploymentUniqueLabelKey

// split finds the set of the Deployment's present template, the oldest where
// there are several, among all of its sets.
func split(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) {
	sorted := append([]*appsv1.ReplicaSet(nil), sets...)
	byCreation(sorted)
	for _, rs := range sorted {
		if current == nil && sameTemplate(&rs.Spec.Template, &d.Spec.Template) {
			current = rs
			continue
		}
		old = append(old, rs)
	}
	return current, old
}

// sameTemplate compares but for the label that tells sets apart.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	if !sameLabels(a.Labels, b.Labels) || !equality.Semantic.DeepEqual(a.Spec, b.Spec) {
		return false
	}
	am, bm := a.ObjectMeta, b.ObjectMeta
	am.Labels, bm.Labels = nil, nil
	return equality.Semantic.DeepEqual(am, bm)
}

func sameLabels(a, b map[string]string) bool {
	count := func(m map[string]string) int {
		if _, ok := m[hashLabel]; ok {
			return len(m) - 1
		}
		return len(m)
	}
	if count(a) != count(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; k != hashLabel && (!ok || v != w) {
			return false
		}
	}
	return true
}

// hash names a template. The collision count changes the name where another
// template had the same one.
func hash(t *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	if err := json.NewEncoder(h).Encode(t); err != nil { // API types always encode
		h.Write([]byte(err.Error()))
	}
	if collisions != nil {
		var b [8]byte
		binary.LittleEndian.PutUint32(b[:], uint32(*collisions))
		h.Write(b[:])
	}
	return rand.SafeEncodeString(fmt.Sprint(h.Sum32()))
}

// newSet is a set of the Deployment's template, without a size yet.
func newSet(d *appsv1.Deployment) *appsv1.ReplicaSet {
	sum := hash(&d.Spec.Template, d.Status.CollisionCount)
	template := d.Spec.Template.DeepCopy()
	template.Labels = with(template.Labels, hashLabel, sum)
	selector := d.Spec.Selector.DeepCopy()
	selector.MatchLabels = with(selector.MatchLabels, hashLabel, sum)
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.Name + "-" + sum, Labels: maps.Clone(template.Labels),
			OwnerReferences: []metav1.OwnerReference{own.Ref(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32), MinReadySeconds: d.Spec.MinReadySeconds, Selector: selector, Template: *template,
		},
	}
}

func with(labels map[string]string, name, value string) map[string]string {
	out := map[string]string{name: value}
	for k, v := range labels {
		if k != name {
			out[k] = v
		}
	}
	return out
}

// updateCurrent brings annotations and minReadySeconds of the current set up
// to date, where there is one, and the Deployment's revision with it.
func (r *rollout) updateCurrent() {
	if r.current == nil {
		return
	}
	out := r.current.DeepCopy()
	changed := carryOver(r.d, out, r.nextRevision())
	if out.Spec.MinReadySeconds != r.d.Spec.MinReadySeconds {
		out.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
		changed = true
	}
	if changed {
		r.current = out
		r.put(out, "")
	}
	r.setRevision(out.Annotations[revisionAnnotation])
	if hasDeadline(r.d) && condition(&r.d.Status, appsv1.DeploymentProgressing) == nil {
		r.setCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonFound,
			fmt.Sprintf("Found new replica set %q", out.Name))
	}
}

// ensureCurrent is updateCurrent, or the creation of the current set.
func (r *rollout) ensureCurrent() {
	if r.current != nil {
		r.updateCurrent()
		return
	}
	rs := newSet(r.d)
	size := roomForCurrent(r.d, r.all(), 0)
	rs.Spec.Replicas = &size
	next := r.nextRevision()
	carryOver(r.d, rs, next)
	setSizes(rs, replicas(r.d), replicas(r.d)+maxSurge(r.d))
	event := ""
	if size > 0 {
		event = fmt.Sprintf("Scaled up replica set %s from 0 to %d", rs.Name, size)
	}
	r.current = rs
	r.ops = append(r.ops, op{kind: opCreate, set: rs, event: event})
	r.setRevision(rs.Annotations[revisionAnnotation])
	if hasDeadline(r.d) {
		r.setCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonCreated,
			fmt.Sprintf("Created new replica set %q", rs.Name))
	}
}

func (r *rollout) nextRevision() int64 {
	var most int64
	for _, rs := range r.old {
		most = max(most, revision(rs))
	}
	return most + 1
}

func (r *rollout) setRevision(value string) {
	if r.d.Annotations[revisionAnnotation] == value || value == "" {
		return
	}
	if r.d.Annotations == nil {
		r.d.Annotations = map[string]string{}
	}
	r.d.Annotations[revisionAnnotation] = value
}
