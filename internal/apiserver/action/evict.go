package action

import (
	"context"
	stderrors "errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// maxDisrupted bounds the evictions that a budget remembers while its
// controller has not counted them.
const maxDisrupted = 2000

// evict deletes a pod if its disruption budget allows it (policy/v1).
func (a *actions) evict(ctx context.Context, act endpoint.Action) (runtime.Object, error) {
	e, isEviction := act.Request.Object.(*policyv1.Eviction)
	if !isEviction {
		return nil, errors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", act.Request.Object))
	}
	namespace, name := act.Request.Namespace, act.Request.Name
	if e.Name != "" && e.Name != name {
		return nil, errors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	opts := metav1.DeleteOptions{}
	if e.DeleteOptions != nil {
		opts = *e.DeleteOptions.DeepCopy()
	}
	dryRun := act.DryRun() || len(opts.DryRun) > 0
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	for try := 1; ; try++ {
		_, pod, err := a.pod(namespace, name)
		if err != nil {
			return nil, err
		}
		free := ignoresBudget(pod)
		// A pod that may go without the budget may go in this very state only:
		// were it ready meanwhile, the budget would count on it.
		pinned := free && pod.Status.Phase == corev1.PodPending && pod.DeletionTimestamp == nil
		if !free {
			if pinned, err = a.spend(ctx, pod, dryRun); err != nil {
				return nil, err
			}
		}
		err = a.remove(ctx, act, pod, *opts.DeepCopy(), pinned, dryRun)
		if err == nil {
			return created(), nil
		}
		if ownVersion := opts.Preconditions != nil && opts.Preconditions.ResourceVersion != nil; !free || ownVersion || !errors.IsConflict(err) || try == mostTries {
			return nil, err
		}
	}
}

// mostTries is how often a pod that changes meanwhile is looked at anew.
const mostTries = 20

// remove marks a pod and deletes it; pinned, only in the state that was read.
func (a *actions) remove(ctx context.Context, act endpoint.Action, pod *corev1.Pod, opts metav1.DeleteOptions, pinned, dryRun bool) error {
	if !dryRun {
		if err := a.markEvicted(ctx, pod, &opts, pinned); err != nil {
			return err
		}
	}
	return a.Do(ctx, act.User, &request.Request{Verb: request.Delete, Kind: a.podKind, Namespace: pod.Namespace, Name: pod.Name, DeleteOptions: opts})
}

// ignoresBudget tells of a pod that nobody counts on.
func ignoresBudget(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return true
	}
	return pod.DeletionTimestamp != nil
}

// markEvicted says in the pod's status why it goes, if the options' conditions
// hold; the deletion then is of that very state's pod.
func (a *actions) markEvicted(ctx context.Context, pod *corev1.Pod, opts *metav1.DeleteOptions, pinned bool) error {
	marked, err := a.change(ctx, pod.Namespace, pod.Name, func(next *corev1.Pod) error {
		if pinned && next.ResourceVersion != pod.ResourceVersion {
			return a.changed(next, pod.ResourceVersion)
		}
		if p := opts.Preconditions; p != nil {
			if p.UID != nil && *p.UID != next.UID {
				return errors.NewConflict(a.podKind.GroupResource(), next.Name, uidMismatch(*p.UID, next.UID))
			}
			if p.ResourceVersion != nil && *p.ResourceVersion != next.ResourceVersion {
				return a.changed(next, *p.ResourceVersion)
			}
		}
		setCondition(next, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
			Message: "Eviction API: evicting", LastTransitionTime: metav1.Now().Rfc3339Copy()})
		return nil
	})
	if err != nil {
		return err
	}
	uid := pod.UID
	if opts.Preconditions == nil {
		opts.Preconditions = &metav1.Preconditions{}
	}
	opts.Preconditions.UID, opts.Preconditions.ResourceVersion = &uid, nil
	if pinned {
		opts.Preconditions.ResourceVersion = &marked.ResourceVersion
	}
	return nil
}

// changed refuses to go on with a pod that is not what it was.
func (a *actions) changed(now *corev1.Pod, was string) error {
	return errors.NewConflict(a.podKind.GroupResource(), now.Name, fmt.Errorf("the ResourceVersion in the precondition (%s) "+
		"does not match the ResourceVersion in record (%s). The object might have been modified", was, now.ResourceVersion))
}

// spend takes one disruption out of the pod's budget. pinned tells that the
// pod may go for what it is now: it does not serve.
func (a *actions) spend(ctx context.Context, pod *corev1.Pod, dryRun bool) (pinned bool, err error) {
	for {
		item, err := a.budgetOf(pod)
		if err != nil || item == nil {
			return false, err
		}
		pdb := item.Object.(*policyv1.PodDisruptionBudget).DeepCopy()
		if unhealthyMayGo(pod, pdb) {
			return true, nil
		}
		if err := disrupt(pdb, pod.Name, time.Now()); err != nil || dryRun {
			return false, err
		}
		if _, err = a.budget.Update(ctx, item, pdb); !stderrors.Is(err, store.ErrConflict) {
			return false, err
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
}

// budgetOf is the one budget that covers a pod; nil: none.
func (a *actions) budgetOf(pod *corev1.Pod) (*cache.Item, error) {
	if a.budget == nil {
		return nil, nil
	}
	var found []*cache.Item
	a.budget.Snapshot().Ascend(pod.Namespace, "", "", func(item *cache.Item) bool {
		selector, err := metav1.LabelSelectorAsSelector(item.Object.(*policyv1.PodDisruptionBudget).Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			found = append(found, item)
		}
		return true
	})
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError,
		Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
	}}
}

// unhealthyMayGo tells of a pod that is not ready and whose budget does not
// protect such pods.
func unhealthyMayGo(pod *corev1.Pod, pdb *policyv1.PodDisruptionBudget) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return false
		}
	}
	policy := pdb.Spec.UnhealthyPodEvictionPolicy
	if policy != nil && *policy == policyv1.AlwaysAllow {
		return true
	}
	return pdb.Status.CurrentHealthy >= pdb.Status.DesiredHealthy && pdb.Status.DesiredHealthy > 0
}

// disrupt notes a disruption in a budget, or refuses it.
func disrupt(pdb *policyv1.PodDisruptionBudget, pod string, now time.Time) error {
	s := &pdb.Status
	switch {
	case s.ObservedGeneration < pdb.Generation:
		return tooMany(10, fmt.Sprintf("The disruption budget %s is still being processed by the server.", pdb.Name))
	case s.DisruptionsAllowed < 0:
		return errors.NewForbidden(policyv1.Resource("poddisruptionbudget"), pdb.Name, stderrors.New("pdb disruptions allowed is negative"))
	case len(s.DisruptedPods) > maxDisrupted:
		return errors.NewForbidden(policyv1.Resource("poddisruptionbudget"), pdb.Name, stderrors.New("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case s.DisruptionsAllowed == 0:
		return tooMany(0, fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", pdb.Name, s.DesiredHealthy, s.CurrentHealthy))
	}
	s.DisruptionsAllowed--
	if s.DisruptedPods == nil {
		s.DisruptedPods = map[string]metav1.Time{}
	}
	s.DisruptedPods[pod] = metav1.NewTime(now.Truncate(time.Second))
	return nil
}

// tooMany refuses an eviction for now.
func tooMany(retryAfter int, cause string) error {
	err := errors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", retryAfter)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: cause})
	return err
}
