package deployment

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// opKind is what a write does to a ReplicaSet.
type opKind int

const (
	opCreate opKind = iota
	opUpdate
	opDelete
)

// op is one write, with the event that tells of it.
type op struct {
	kind  opKind
	set   *appsv1.ReplicaSet
	event string // message of a ScalingReplicaSet event; empty: none
}

// rollout is one run over a Deployment. d is a copy that the run may change:
// its status and its revision annotation. current and old hold the sets as
// they will be after ops.
type rollout struct {
	d       *appsv1.Deployment
	before  *appsv1.Deployment // as it was
	current *appsv1.ReplicaSet // of the present template; nil: none yet
	old     []*appsv1.ReplicaSet
	pods    map[types.UID][]*corev1.Pod // by set
	now     time.Time

	ops     []op
	requeue time.Duration
}

// run decides what is to be done. sets are those that the Deployment
// controls, pods theirs by UID of the set.
func run(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, pods map[types.UID][]*corev1.Pod, now time.Time) *rollout {
	r := &rollout{d: d.DeepCopy(), before: d, pods: pods, now: now}
	r.current, r.old = split(d, sets)
	switch {
	case d.DeletionTimestamp != nil:
		r.syncStatus()
		return r
	case d.Spec.Paused:
		r.markPaused()
		r.paused()
		return r
	}
	r.markPaused()
	switch {
	case r.scaled():
		r.updateCurrent()
		r.scale()
		r.syncStatus()
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		r.recreate()
	default:
		r.rolling()
	}
	return r
}

// paused keeps sizes in step with spec.replicas and touches nothing else.
func (r *rollout) paused() {
	r.updateCurrent()
	r.scale()
	r.cleanUp()
	r.syncStatus()
}

// scaled tells whether spec.replicas changed since the active sets were last
// sized.
func (r *rollout) scaled() bool {
	for _, rs := range active(r.all()) {
		n, ok := intAnnotation(rs, desiredReplicasAnnotation)
		if ok && n != replicas(r.d) {
			return true
		}
	}
	return false
}

// rolling replaces old pods by new ones within surge and unavailability.
func (r *rollout) rolling() {
	r.ensureCurrent()
	if r.growCurrent() || r.shrinkOld() {
		r.syncRollout()
		return
	}
	if complete(r.d, &r.d.Status) {
		r.cleanUp()
	}
	r.syncRollout()
}

// recreate stops every old pod before it starts a new one.
func (r *rollout) recreate() {
	r.updateCurrent()
	stopped := false
	for i, rs := range r.old {
		if setReplicas(rs) != 0 {
			r.old[i] = r.resize(rs, 0)
			stopped = true
		}
	}
	if stopped || r.oldPodsRun() {
		r.syncRollout()
		return
	}
	r.ensureCurrent()
	r.current = r.resize(r.current, replicas(r.d))
	if complete(r.d, &r.d.Status) {
		r.cleanUp()
	}
	r.syncRollout()
}

// oldPodsRun tells whether a pod of an old set is still there and not
// finished, also one that is being deleted.
func (r *rollout) oldPodsRun() bool {
	var count int32
	for _, rs := range r.old {
		count += rs.Status.Replicas
	}
	if count > 0 {
		return true
	}
	for uid, pods := range r.pods {
		if r.current != nil && uid == r.current.UID {
			continue
		}
		for _, pod := range pods {
			if pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
				return true
			}
		}
	}
	return false
}

// growCurrent sizes the current set as far as surge allows; it tells whether
// it changed something.
func (r *rollout) growCurrent() bool {
	have, want := setReplicas(r.current), replicas(r.d)
	if have == want {
		return false
	}
	target := want
	if have < want {
		target = roomForCurrent(r.d, r.all(), have)
	}
	r.current = r.resize(r.current, target)
	return target != have
}

// shrinkOld takes old pods away as far as availability allows.
func (r *rollout) shrinkOld() bool {
	oldCount := sumReplicas(r.old)
	if oldCount == 0 {
		return false
	}
	least := replicas(r.d) - maxUnavailable(r.d)
	notReady := setReplicas(r.current) - available(r.current)
	most := sumReplicas(r.all()) - least - notReady
	if most <= 0 {
		return false
	}
	byCreation(r.old)
	removed := r.shrinkUnhealthy(most)
	removed += r.shrinkHealthy(least)
	return removed > 0
}

// shrinkUnhealthy takes away old pods that are not available: they hold room
// and serve nobody.
func (r *rollout) shrinkUnhealthy(most int32) int32 {
	var removed int32
	for i, rs := range r.old {
		n := setReplicas(rs)
		if removed >= most {
			break
		}
		cut := min(most-removed, n-available(rs))
		if cut <= 0 {
			continue
		}
		r.old[i] = r.resize(rs, n-cut)
		removed += cut
	}
	return removed
}

// shrinkHealthy takes away available old pods beyond the least that must
// stay.
func (r *rollout) shrinkHealthy(least int32) int32 {
	spare := -least
	for _, rs := range r.all() {
		spare += available(rs)
	}
	var removed int32
	for i, rs := range r.old {
		n := setReplicas(rs)
		if removed >= spare {
			break
		}
		if cut := min(n, spare-removed); cut > 0 {
			r.old[i] = r.resize(rs, n-cut)
			removed += cut
		}
	}
	return removed
}

// cleanUp deletes old sets beyond the history that the Deployment keeps.
func (r *rollout) cleanUp() {
	limit := r.d.Spec.RevisionHistoryLimit
	if limit == nil {
		return
	}
	var alive []*appsv1.ReplicaSet
	for _, rs := range r.old {
		if rs.DeletionTimestamp == nil {
			alive = append(alive, rs)
		}
	}
	excess := len(alive) - int(*limit)
	if excess <= 0 {
		return
	}
	byRevision(alive)
	for _, rs := range alive[:excess] {
		if rs.Status.Replicas == 0 && setReplicas(rs) == 0 && rs.Generation <= rs.Status.ObservedGeneration {
			r.ops = append(r.ops, op{kind: opDelete, set: rs})
		}
	}
}

// resize gives the set in its new size, and records the write where there is
// something to write.
func (r *rollout) resize(rs *appsv1.ReplicaSet, to int32) *appsv1.ReplicaSet {
	from := setReplicas(rs)
	most := replicas(r.d) + maxSurge(r.d)
	if from == to && !sizesDiffer(rs, replicas(r.d), most) {
		return rs
	}
	out := rs.DeepCopy()
	out.Spec.Replicas = &to
	setSizes(out, replicas(r.d), most)
	event := ""
	switch {
	case to > from:
		event = fmt.Sprintf("Scaled up replica set %s from %d to %d", rs.Name, from, to)
	case to < from:
		event = fmt.Sprintf("Scaled down replica set %s from %d to %d", rs.Name, from, to)
	}
	r.put(out, event)
	return out
}

// put records the write of a set; a write that is already recorded takes the
// newer content.
func (r *rollout) put(rs *appsv1.ReplicaSet, event string) {
	for i := range r.ops {
		if r.ops[i].kind != opDelete && r.ops[i].set.Name == rs.Name {
			r.ops[i].set = rs
			if event != "" {
				r.ops[i].event = event
			}
			return
		}
	}
	r.ops = append(r.ops, op{kind: opUpdate, set: rs, event: event})
}

// all are the old sets and the current one.
func (r *rollout) all() []*appsv1.ReplicaSet {
	out := append([]*appsv1.ReplicaSet(nil), r.old...)
	if r.current != nil {
		out = append(out, r.current)
	}
	return out
}
