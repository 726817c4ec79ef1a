package deployment

import (
	"fmt"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of conditions, upstream's.
const (
	reasonUpdated     = "ReplicaSetUpdated"
	reasonFailed      = "ReplicaSetCreateError"
	reasonCreated     = "NewReplicaSetCreated"
	reasonFound       = "FoundNewReplicaSet"
	reasonAvailable   = "NewReplicaSetAvailable"
	reasonTimedOut    = "ProgressDeadlineExceeded"
	reasonPaused      = "DeploymentPaused"
	reasonResumed     = "DeploymentResumed"
	reasonMinimum     = "MinimumReplicasAvailable"
	reasonBelow       = "MinimumReplicasUnavailable"
	messageMinimum    = "Deployment has minimum availability."
	messageBelow      = "Deployment does not have minimum availability."
	deadlineUnbounded = math.MaxInt32
)

func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != deadlineUnbounded
}

func deadline(d *appsv1.Deployment) time.Duration {
	return time.Duration(*d.Spec.ProgressDeadlineSeconds) * time.Second
}

func condition(status *appsv1.DeploymentStatus, typ appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == typ {
			return &status.Conditions[i]
		}
	}
	return nil
}

func (r *rollout) setCondition(typ appsv1.DeploymentConditionType, value corev1.ConditionStatus, reason, message string) {
	now := metav1.NewTime(r.now)
	r.putCondition(appsv1.DeploymentCondition{
		Type: typ, Status: value, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now,
	})
}

// putCondition sets a condition. One of the same status and reason stays as it is;
// one of the same status keeps its time of transition.
func (r *rollout) putCondition(c appsv1.DeploymentCondition) {
	status := &r.d.Status
	if have := condition(status, c.Type); have != nil {
		if have.Status == c.Status && have.Reason == c.Reason {
			return
		}
		if have.Status == c.Status {
			c.LastTransitionTime = have.LastTransitionTime
		}
	}
	r.dropCondition(c.Type)
	status.Conditions = append(status.Conditions, c)
}

func (r *rollout) dropCondition(typ appsv1.DeploymentConditionType) {
	var kept []appsv1.DeploymentCondition
	for _, c := range r.d.Status.Conditions {
		if c.Type != typ {
			kept = append(kept, c)
		}
	}
	r.d.Status.Conditions = kept
}

// markPaused shows a pause, and its end, as the progress condition, so that
// the time paused does not count towards the deadline.
func (r *rollout) markPaused() {
	if !hasDeadline(r.d) || r.d.DeletionTimestamp != nil {
		return
	}
	c := condition(&r.d.Status, appsv1.DeploymentProgressing)
	if c != nil && c.Reason == reasonTimedOut {
		return
	}
	shown := c != nil && c.Reason == reasonPaused
	switch {
	case r.d.Spec.Paused && !shown:
		r.setCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonPaused, "Deployment is paused")
	case !r.d.Spec.Paused && shown:
		r.setCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonResumed, "Deployment is resumed")
	}
}

// syncStatus counts, without judging progress.
func (r *rollout) syncStatus() {
	s := &r.d.Status
	var available, terminating int32
	s.Replicas, s.ReadyReplicas, s.UpdatedReplicas = 0, 0, 0
	all := r.all()
	for _, rs := range all {
		s.Replicas += rs.Status.Replicas
		s.ReadyReplicas += rs.Status.ReadyReplicas
		available += rs.Status.AvailableReplicas
		if rs.Status.TerminatingReplicas != nil {
			terminating += *rs.Status.TerminatingReplicas
		}
	}
	if r.current != nil {
		s.UpdatedReplicas = r.current.Status.Replicas
	}
	s.ObservedGeneration = r.d.Generation
	s.AvailableReplicas = available
	s.UnavailableReplicas = max(0, sumReplicas(all)-available)
	s.TerminatingReplicas = &terminating
	if available >= replicas(r.d)-maxUnavailable(r.d) {
		r.setCondition(appsv1.DeploymentAvailable, corev1.ConditionTrue, reasonMinimum, messageMinimum)
	} else {
		r.setCondition(appsv1.DeploymentAvailable, corev1.ConditionFalse, reasonBelow, messageBelow)
	}
}

// syncRollout counts and judges progress.
func (r *rollout) syncRollout() {
	r.syncStatus()
	if !hasDeadline(r.d) {
		r.dropCondition(appsv1.DeploymentProgressing)
	}
	s := &r.d.Status
	c := condition(s, appsv1.DeploymentProgressing)
	done := s.Replicas == s.UpdatedReplicas && c != nil && c.Reason == reasonAvailable
	if hasDeadline(r.d) && !done {
		r.judge(c)
	}
	r.showFailure()
	r.requeueForDeadline()
}

// judge sets the progress condition: complete, moving or stuck.
func (r *rollout) judge(c *appsv1.DeploymentCondition) {
	subject := fmt.Sprintf("Deployment %q", r.d.Name)
	if r.current != nil {
		subject = fmt.Sprintf("ReplicaSet %q", r.current.Name)
	}
	switch {
	case complete(r.d, &r.d.Status):
		r.setCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonAvailable, subject+" has successfully progressed.")
	case progressed(&r.before.Status, &r.d.Status):
		now := metav1.NewTime(r.now)
		next := appsv1.DeploymentCondition{
			Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: reasonUpdated,
			Message: subject + " is progressing.", LastUpdateTime: now, LastTransitionTime: now,
		}
		if c != nil && c.Status == corev1.ConditionTrue {
			next.LastTransitionTime = c.LastTransitionTime
		}
		r.dropCondition(appsv1.DeploymentProgressing) // each step moves the deadline
		r.putCondition(next)
	case timedOut(r.d, c, r.now):
		r.setCondition(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonTimedOut, subject+" has timed out progressing.")
	}
}

// complete tells whether all pods are of the current template and available.
func complete(d *appsv1.Deployment, s *appsv1.DeploymentStatus) bool {
	n := replicas(d)
	return s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n && s.ObservedGeneration >= d.Generation
}

// progressed compares two counts: more new, ready or available pods, or fewer
// old ones.
func progressed(before, after *appsv1.DeploymentStatus) bool {
	return after.UpdatedReplicas > before.UpdatedReplicas ||
		after.Replicas-after.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		after.ReadyReplicas > before.ReadyReplicas ||
		after.AvailableReplicas > before.AvailableReplicas
}

func timedOut(d *appsv1.Deployment, c *appsv1.DeploymentCondition, now time.Time) bool {
	if c == nil || c.Reason == reasonAvailable {
		return false
	}
	if c.Reason == reasonTimedOut {
		return true
	}
	return c.LastUpdateTime.Add(deadline(d)).Before(now)
}

// showFailure carries a set's trouble to the Deployment: the current set's
// before the old ones'.
func (r *rollout) showFailure() {
	sets := r.old
	if r.current != nil {
		sets = append([]*appsv1.ReplicaSet{r.current}, r.old...)
	}
	for _, rs := range sets {
		for _, c := range rs.Status.Conditions {
			if c.Type != appsv1.ReplicaSetReplicaFailure {
				continue
			}
			r.putCondition(appsv1.DeploymentCondition{
				Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
				LastUpdateTime: metav1.NewTime(r.now), LastTransitionTime: c.LastTransitionTime,
			})
			return
		}
	}
	r.dropCondition(appsv1.DeploymentReplicaFailure)
}

// requeueForDeadline comes back when progress would be overdue. A rollout that
// came to its end never is, though pods may be lost later.
func (r *rollout) requeueForDeadline() {
	c := condition(&r.d.Status, appsv1.DeploymentProgressing)
	if !hasDeadline(r.d) || c == nil || c.Reason == reasonTimedOut || c.Reason == reasonAvailable || complete(r.d, &r.d.Status) {
		return
	}
	left := c.LastUpdateTime.Add(deadline(r.d)).Sub(r.now)
	r.requeue = max(0, left) + time.Second
}
