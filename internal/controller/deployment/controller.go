package deployment

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	deployments client.Typed[*appsv1.Deployment]
	sets        client.Typed[*appsv1.ReplicaSet]
	depInf      *client.Informer[*appsv1.Deployment]
	setInf      *client.Informer[*appsv1.ReplicaSet]
	podInf      *client.Informer[*corev1.Pod]
	events      *record.Recorder
	expects     *expect.Tracker[*appsv1.ReplicaSet]
	own         expect.Own
	loop        *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		deployments: client.For[*appsv1.Deployment](c), sets: client.For[*appsv1.ReplicaSet](c),
		depInf: client.InformerFor[*appsv1.Deployment](inf), setInf: client.InformerFor[*appsv1.ReplicaSet](inf),
		podInf: client.InformerFor[*corev1.Pod](inf), events: events,
	}
	r.expects = expect.New(r.setInf)
	r.loop = reconcile.New("deployment", r.reconcile, opts)
	own.AddIndex(r.setInf)
	own.AddIndex(r.podInf)
	r.depInf.OnChange(func(old, new *appsv1.Deployment) {
		if new != nil {
			r.loop.Enqueue(own.KeyOf(new))
		} else {
			r.loop.Enqueue(own.KeyOf(old))
		}
	})
	r.setInf.OnChange(r.setChanged)
	r.podInf.OnChange(r.podChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.depInf, r.setInf, r.podInf)
}

// setChanged enqueues the Deployments that a set belongs to, belonged to, or
// could belong to.
func (r *Controller) setChanged(old, new *appsv1.ReplicaSet) {
	oldOwner, newOwner := ownerKey(old), ownerKey(new)
	if oldOwner != nil && (newOwner == nil || *newOwner != *oldOwner) {
		r.loop.Enqueue(*oldOwner)
	}
	if newOwner != nil {
		r.loop.Enqueue(*newOwner)
	}
	if new == nil || metav1.GetControllerOfNoCopy(new) != nil {
		return
	}
	for _, d := range r.depInf.List(new.Namespace, nil) {
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(new.Labels)) {
			r.loop.Enqueue(own.KeyOf(d))
		}
	}
}

// podChanged wakes a Deployment that waits for its last old pod to go.
func (r *Controller) podChanged(old, new *corev1.Pod) {
	if old == nil || new != nil && new.Status.Phase == old.Status.Phase {
		return
	}
	ref := metav1.GetControllerOfNoCopy(old)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return
	}
	rs, ok := r.setInf.Get(old.Namespace, ref.Name)
	if !ok {
		return
	}
	key := ownerKey(rs)
	if key == nil {
		return
	}
	d, ok := r.depInf.Get(key.Namespace, key.Name)
	if ok && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		r.loop.Enqueue(*key)
	}
}

func ownerKey(rs *appsv1.ReplicaSet) *reconcile.Key {
	if rs == nil {
		return nil
	}
	ref := metav1.GetControllerOfNoCopy(rs)
	if ref == nil || ref.Kind != "Deployment" {
		return nil
	}
	return &reconcile.Key{Namespace: rs.Namespace, Name: ref.Name}
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	d, ok := r.depInf.Get(key.Namespace, key.Name)
	if !ok {
		r.expects.Forget(key)
		r.own.Forget(key)
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, d) || !r.expects.Settled(key) { // sizes are promised over all sets, so all must be seen
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, reconcile.Terminal(err)
	}
	if selector.Empty() {
		r.events.Event(d, corev1.EventTypeWarning, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.")
		changed := d.DeepCopy()
		changed.Status.ObservedGeneration = d.Generation
		return reconcile.Result{}, r.writeStatus(ctx, d, changed)
	}
	claim := own.Plan(d, selector, own.Candidates(r.setInf, d), func(*appsv1.ReplicaSet) bool { return true })
	sets, err := own.Apply(ctx, r.sets, claim, own.Ref(d, appsv1.SchemeGroupVersion.WithKind("Deployment")), own.Confirm(r.deployments, d))
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := run(d, sets, r.podsOf(d, sets), time.Now())
	if err := r.apply(ctx, plan); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: plan.requeue}, r.writeStatus(ctx, d, plan.d)
}

// podsOf are the pods by set; only a Recreate needs them.
func (r *Controller) podsOf(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) map[types.UID][]*corev1.Pod {
	if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		return nil
	}
	out := make(map[types.UID][]*corev1.Pod, len(sets))
	for _, rs := range sets {
		out[rs.UID] = r.podInf.ByIndex(own.Index, string(rs.UID))
	}
	return out
}

// apply makes the plan's writes in order and stops at the first that fails.
func (r *Controller) apply(ctx context.Context, plan *rollout) error {
	key := own.KeyOf(plan.before)
	for _, o := range plan.ops {
		var err error
		quiet := false
		switch o.kind {
		case opCreate:
			quiet, err = r.create(ctx, plan, o)
		case opUpdate:
			var out *appsv1.ReplicaSet
			if out, err = r.sets.Update(ctx, o.set.DeepCopy()); err == nil {
				r.expects.Created(key, out)
			}
		case opDelete:
			err = r.sets.Delete(ctx, o.set.Namespace, o.set.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(o.set.UID))})
			if apierrors.IsNotFound(err) {
				err = nil
			}
		}
		if err != nil {
			return fmt.Errorf("replica set %s: %w", o.set.Name, err)
		}
		if o.event != "" && !quiet {
			r.events.Event(plan.before, corev1.EventTypeNormal, "ScalingReplicaSet", o.event)
		}
	}
	return nil
}

// create makes the current set. A set of that name that is ours already is as
// good (existed); one of another template means that the names collided.
func (r *Controller) create(ctx context.Context, plan *rollout, o op) (existed bool, err error) {
	out, err := r.sets.Create(ctx, o.set.DeepCopy())
	switch {
	case err == nil:
		r.expects.Created(own.KeyOf(plan.before), out)
		return false, nil
	case apierrors.IsAlreadyExists(err):
		return true, r.collided(ctx, plan, o, err)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return false, reconcile.Terminal(err)
	}
	message := fmt.Sprintf("Failed to create new replica set %q: %v", o.set.Name, err)
	r.events.Event(plan.before, corev1.EventTypeWarning, reasonFailed, message)
	if hasDeadline(plan.d) {
		failed := &rollout{d: plan.before.DeepCopy(), before: plan.before, now: plan.now}
		failed.setCondition(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonFailed, message)
		if serr := r.writeStatus(ctx, plan.before, failed.d); serr != nil {
			reconcile.Logger(ctx).Debug("the failure could not be shown", "error", serr)
		}
	}
	return false, err
}

func (r *Controller) collided(ctx context.Context, plan *rollout, o op, cause error) error {
	have, err := r.sets.Get(ctx, o.set.Namespace, o.set.Name)
	if err != nil {
		return err
	}
	ref := metav1.GetControllerOfNoCopy(have)
	if ref != nil && ref.UID == plan.d.UID && sameTemplate(&have.Spec.Template, &plan.d.Spec.Template) {
		return nil // created before; the informer will show it
	}
	changed := plan.before.DeepCopy()
	count := int32(1)
	if changed.Status.CollisionCount != nil {
		count += *changed.Status.CollisionCount
	}
	changed.Status.CollisionCount = &count
	if err := r.writeStatus(ctx, plan.before, changed); err != nil {
		return err
	}
	return cause
}

// writeStatus writes the status, and with it the revision annotation, where
// they changed.
func (r *Controller) writeStatus(ctx context.Context, before, after *appsv1.Deployment) error {
	if equality.Semantic.DeepEqual(before.Status, after.Status) &&
		before.Annotations[revisionAnnotation] == after.Annotations[revisionAnnotation] {
		return nil
	}
	out, err := r.deployments.UpdateStatus(ctx, after)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		r.own.Wrote(own.KeyOf(after), out)
	}
	return err
}
