package deployment

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// replicas is spec.replicas, which the API always fills.
func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

func setReplicas(rs *appsv1.ReplicaSet) int32 {
	if rs == nil {
		return 0
	}
	if rs.Spec.Replicas == nil {
		return 1
	}
	return *rs.Spec.Replicas
}

// available is how many available pods the set will keep: what its status
// says, but never more than it was asked for since.
func available(rs *appsv1.ReplicaSet) int32 {
	return min(rs.Status.AvailableReplicas, setReplicas(rs))
}

func sumReplicas(sets []*appsv1.ReplicaSet) int32 {
	var n int32
	for _, rs := range sets {
		n += setReplicas(rs)
	}
	return n
}

// fenceposts are surge (rounded up) and unavailability (rounded down) in
// pods. Where both come to nothing one pod may be unavailable, or nothing
// could ever move.
func fenceposts(d *appsv1.Deployment) (surge, unavailable int32) {
	u := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || u == nil {
		return 0, 0
	}
	surge = portion(u.MaxSurge, replicas(d), true)
	unavailable = portion(u.MaxUnavailable, replicas(d), false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

func portion(v *intstr.IntOrString, of int32, up bool) int32 {
	if v == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(v, int(of), up)
	if err != nil {
		return 0 // validation lets no such value in
	}
	return int32(n)
}

func maxSurge(d *appsv1.Deployment) int32 {
	surge, _ := fenceposts(d)
	return surge
}

// maxUnavailable is never more than there are pods.
func maxUnavailable(d *appsv1.Deployment) int32 {
	_, unavailable := fenceposts(d)
	return min(unavailable, replicas(d))
}

// roomForCurrent is the size that the current set may take now.
func roomForCurrent(d *appsv1.Deployment, all []*appsv1.ReplicaSet, have int32) int32 {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return replicas(d)
	}
	room := replicas(d) + maxSurge(d) - sumReplicas(all)
	if room <= 0 {
		return have
	}
	return have + min(room, replicas(d)-have)
}

// active are the sets that want pods.
func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	var out []*appsv1.ReplicaSet
	for _, rs := range sets {
		if setReplicas(rs) > 0 {
			out = append(out, rs)
		}
	}
	return out
}

// scale spreads a change of spec.replicas: to the only active set, or in
// proportion over those that a rollout left half-way.
func (r *rollout) scale() {
	if only := r.activeOrLatest(); only != nil {
		if setReplicas(only) != replicas(r.d) {
			r.replace(only, replicas(r.d))
		}
		return
	}
	if r.saturated() {
		for _, rs := range active(r.old) {
			r.replace(rs, 0)
		}
		return
	}
	if r.d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		r.scaleInProportion()
	}
}

// activeOrLatest is the one set that takes a change of scale alone; nil when
// several are active or there is none at all.
func (r *rollout) activeOrLatest() *appsv1.ReplicaSet {
	if r.current == nil && len(r.old) == 0 {
		return nil
	}
	act := active(r.all())
	switch len(act) {
	case 0:
		if r.current != nil {
			return r.current
		}
		newest := slices.Clone(r.old)
		byCreation(newest)
		return newest[len(newest)-1]
	case 1:
		return act[0]
	}
	return nil
}

// saturated tells whether the current set alone holds all pods wanted.
func (r *rollout) saturated() bool {
	if r.current == nil {
		return false
	}
	n, ok := intAnnotation(r.current, desiredReplicasAnnotation)
	return ok && setReplicas(r.current) == replicas(r.d) && n == replicas(r.d) && r.current.Status.AvailableReplicas == replicas(r.d)
}

func (r *rollout) scaleInProportion() {
	sets := active(r.all())
	var allowed int32
	if replicas(r.d) > 0 {
		allowed = replicas(r.d) + maxSurge(r.d)
	}
	toAdd := allowed - sumReplicas(sets)
	bySize(sets, toAdd > 0)
	sizes := make([]int32, len(sets))
	var added int32
	for i, rs := range sets {
		sizes[i] = setReplicas(rs)
		if toAdd != 0 {
			share := proportion(rs, r.d, toAdd, added)
			sizes[i] += share
			added += share
		}
	}
	for i, rs := range sets {
		if i == 0 && toAdd != 0 {
			sizes[0] = max(0, sizes[0]+toAdd-added)
		}
		r.replace(rs, sizes[i])
	}
}

// proportion is the set's share of what is to be added (or, negative, taken).
func proportion(rs *appsv1.ReplicaSet, d *appsv1.Deployment, toAdd, added int32) int32 {
	if setReplicas(rs) == 0 || toAdd == 0 || toAdd == added {
		return 0
	}
	share, left := fraction(rs, d), toAdd-added
	if toAdd > 0 {
		return min(share, left)
	}
	return max(share, left)
}

// fraction is by how much the set would change if it kept its part of the
// whole.
func fraction(rs *appsv1.ReplicaSet, d *appsv1.Deployment) int32 {
	if replicas(d) == 0 {
		return -setReplicas(rs)
	}
	before, ok := intAnnotation(rs, maxReplicasAnnotation)
	if !ok || before == 0 {
		before = d.Status.Replicas
		if before == 0 {
			return 0
		}
	}
	size := float64(setReplicas(rs)) * float64(replicas(d)+maxSurge(d)) / float64(before)
	return int32(math.Round(size)) - setReplicas(rs)
}

// replace resizes a set where it stands among the rollout's.
func (r *rollout) replace(rs *appsv1.ReplicaSet, to int32) {
	out := r.resize(rs, to)
	if r.current != nil && r.current.Name == rs.Name {
		r.current = out
		return
	}
	for i := range r.old {
		if r.old[i].Name == rs.Name {
			r.old[i] = out
		}
	}
}

func byCreation(sets []*appsv1.ReplicaSet) {
	slices.SortStableFunc(sets, compareCreation)
}

func compareCreation(a, b *appsv1.ReplicaSet) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return cmp.Compare(a.Name, b.Name)
}

func byRevision(sets []*appsv1.ReplicaSet) {
	slices.SortStableFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		if c := cmp.Compare(revision(a), revision(b)); c != 0 {
			return c
		}
		return compareCreation(a, b)
	})
}

// bySize puts larger sets first; of equal ones the newer (where pods are
// added) or the older.
func bySize(sets []*appsv1.ReplicaSet, newerFirst bool) {
	slices.SortStableFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		if c := cmp.Compare(setReplicas(b), setReplicas(a)); c != 0 {
			return c
		}
		if newerFirst {
			return compareCreation(b, a)
		}
		return compareCreation(a, b)
	})
}

// revision is the set's revision annotation; zero where it has none.
func revision(rs *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(rs.Annotations[revisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
