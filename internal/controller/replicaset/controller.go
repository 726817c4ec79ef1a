// Package replicaset keeps as many pods running as each ReplicaSet says.
//
// It writes pods (creation, deletion, adoption and release by owner
// reference) and the status of ReplicaSets; nobody else writes that status.
// A run acts only once its informer shows what the last run wrote, so that it
// never creates or deletes twice.
package replicaset

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/batch"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	sets    client.Typed[*appsv1.ReplicaSet]
	pods    client.Typed[*corev1.Pod]
	setInf  *client.Informer[*appsv1.ReplicaSet]
	podInf  *client.Informer[*corev1.Pod]
	events  *record.Recorder
	expects *expect.Tracker[*corev1.Pod]
	own     expect.Own
	loop    *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		sets: client.For[*appsv1.ReplicaSet](c), pods: client.For[*corev1.Pod](c),
		setInf: client.InformerFor[*appsv1.ReplicaSet](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		events: events,
	}
	r.expects = expect.New(r.podInf)
	r.loop = reconcile.New("replicaset", r.reconcile, opts)
	own.AddIndex(r.setInf)
	own.AddIndex(r.podInf)
	r.setInf.OnChange(func(old, new *appsv1.ReplicaSet) {
		if new != nil {
			r.loop.Enqueue(keyOf(new))
		} else {
			r.loop.Enqueue(keyOf(old))
		}
	})
	r.podInf.OnChange(r.podChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	if r.setInf.WaitSynced(ctx) != nil || r.podInf.WaitSynced(ctx) != nil {
		return
	}
	r.loop.Run(ctx)
}

// podChanged enqueues the sets that a pod belongs to, belonged to, or could
// belong to.
func (r *Controller) podChanged(old, new *corev1.Pod) {
	oldOwner, newOwner := r.ownerKey(old), r.ownerKey(new)
	if oldOwner != nil && (newOwner == nil || *oldOwner != *newOwner) {
		r.loop.Enqueue(*oldOwner)
	}
	if newOwner != nil {
		r.loop.Enqueue(*newOwner)
	}
	if new == nil || metav1.GetControllerOfNoCopy(new) != nil {
		return
	}
	if old != nil && oldOwner == nil && equality.Semantic.DeepEqual(old.Labels, new.Labels) {
		return
	}
	for _, rs := range r.setInf.List(new.Namespace, nil) {
		selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(new.Labels)) {
			r.loop.Enqueue(keyOf(rs))
		}
	}
}

func (r *Controller) ownerKey(pod *corev1.Pod) *reconcile.Key {
	if pod == nil {
		return nil
	}
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return nil
	}
	return &reconcile.Key{Namespace: pod.Namespace, Name: ref.Name}
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	rs, ok := r.setInf.Get(key.Namespace, key.Name)
	if !ok {
		r.expects.Forget(key)
		r.own.Forget(key)
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, rs) {
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, reconcile.Terminal(err)
	}
	settled := r.expects.Settled(key)
	claim := own.Plan(rs, selector, own.Candidates(r.podInf, rs), pods.Active)
	owned, err := own.Apply(ctx, r.pods, claim, own.Ref(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet")), own.Confirm(r.sets, rs))
	if err != nil {
		return reconcile.Result{}, err
	}
	var p plan
	var failure error
	if settled && rs.DeletionTimestamp == nil {
		active := activeOf(owned)
		var related []*corev1.Pod
		if len(active) > int(desired(rs)) {
			related = r.related(rs)
		}
		p = planReplicas(rs, active, related, time.Now())
		failure = r.apply(ctx, key, rs, p)
	}
	wait, err := r.updateStatus(ctx, rs, owned, failure, p)
	if failure != nil {
		return reconcile.Result{}, failure
	}
	if !settled && (wait == 0 || wait > r.expects.Patience()) {
		wait = r.expects.Patience()
	}
	return reconcile.Result{RequeueAfter: wait}, err
}

func activeOf(all []*corev1.Pod) []*corev1.Pod {
	var out []*corev1.Pod
	for _, pod := range all {
		if pods.Active(pod) {
			out = append(out, pod)
		}
	}
	return out
}

// related are the pods of all sets of the same controller, this one's
// included.
func (r *Controller) related(rs *appsv1.ReplicaSet) []*corev1.Pod {
	ref := metav1.GetControllerOfNoCopy(rs)
	if ref == nil {
		return r.podInf.ByIndex(own.Index, string(rs.UID))
	}
	var out []*corev1.Pod
	for _, sibling := range r.setInf.ByIndex(own.Index, string(ref.UID)) {
		out = append(out, r.podInf.ByIndex(own.Index, string(sibling.UID))...)
	}
	return out
}

// apply creates or deletes the pods of a plan.
func (r *Controller) apply(ctx context.Context, key reconcile.Key, rs *appsv1.ReplicaSet, p plan) error {
	if p.create > 0 {
		_, err := batch.SlowStart(p.create, func(int) error { return r.createPod(ctx, key, rs) })
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil // nothing can be created any more, and nothing need be
		}
		return err
	}
	return batch.All(len(p.remove), func(i int) error { return r.deletePod(ctx, key, rs, p.remove[i]) })
}

func (r *Controller) createPod(ctx context.Context, key reconcile.Key, rs *appsv1.ReplicaSet) error {
	pod, err := r.pods.Create(ctx, newPod(rs))
	if err != nil {
		if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			r.events.Eventf(rs, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		}
		return err
	}
	r.expects.Created(key, pod)
	r.events.Eventf(rs, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", pod.Name)
	return nil
}

func (r *Controller) deletePod(ctx context.Context, key reconcile.Key, rs *appsv1.ReplicaSet, pod *corev1.Pod) error {
	r.expects.Deleting(key, pod)
	err := r.pods.Delete(ctx, pod.Namespace, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		r.expects.Failed(key, pod)
		r.events.Eventf(rs, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		return err
	}
	r.events.Eventf(rs, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", pod.Name)
	return nil
}

func (r *Controller) updateStatus(ctx context.Context, rs *appsv1.ReplicaSet, owned []*corev1.Pod, failure error, p plan) (time.Duration, error) {
	status, wait := planStatus(rs, owned, failure, p, time.Now())
	if equality.Semantic.DeepEqual(status, rs.Status) {
		return wait, nil
	}
	changed := rs.DeepCopy()
	changed.Status = status
	out, err := r.sets.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err == nil {
		r.own.Wrote(keyOf(rs), out)
	}
	return wait, err
}

func keyOf(obj metav1.Object) reconcile.Key {
	return reconcile.Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}
