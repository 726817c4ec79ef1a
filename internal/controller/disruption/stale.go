package disruption

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// staleAfter is how long a pod may be marked to go without going.
const staleAfter = 2 * time.Minute

// stale tells of a pod that is marked to go and is not going. The node
// agent's own marks stay: the pod may take any time until it is deleted.
func stale(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pods.Finished(pod) {
		return false
	}
	c := pods.Condition(pod, corev1.DisruptionTarget)
	return c != nil && c.Status == corev1.ConditionTrue && c.Reason != corev1.PodReasonTerminationByKubelet
}

// unmarkStale takes a mark back once its time is over.
func (r *Controller) unmarkStale(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, ok := r.podInf.Get(key.Namespace, key.Name)
	if !ok || !stale(pod) {
		return reconcile.Result{}, nil
	}
	now := time.Now()
	changed := pod.DeepCopy()
	c := pods.Condition(changed, corev1.DisruptionTarget)
	if left := c.LastTransitionTime.Add(staleAfter).Sub(now); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	*c = corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(now)}
	_, err := r.pods.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}
