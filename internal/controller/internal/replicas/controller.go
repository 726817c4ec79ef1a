package replicas

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/batch"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop for one kind. Make it with New.
type Controller[T api.Object] struct {
	kind    Kind[T]
	sets    client.Typed[T]
	setInf  *client.Informer[T]
	podInf  *client.Informer[*corev1.Pod]
	write   podwrite.Writer
	expects *expect.Tracker[*corev1.Pod]
	own     expect.Own
	loop    *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New[T api.Object](kind Kind[T], c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller[T] {
	r := &Controller[T]{
		kind: kind, sets: client.For[T](c),
		setInf: client.InformerFor[T](inf), podInf: client.InformerFor[*corev1.Pod](inf),
	}
	r.expects = expect.New(r.podInf)
	r.write = podwrite.Writer{Pods: client.For[*corev1.Pod](c), Events: events, Expects: r.expects}
	r.loop = reconcile.New(kind.Name, r.reconcile, opts)
	own.AddIndex(r.setInf)
	own.AddIndex(r.podInf)
	r.setInf.OnChange(own.Enqueuer[T](r.loop.Enqueue))
	r.podInf.OnChange(own.Waker(kind.GVK.Kind, r.podChanged, own.Adopters[T, *corev1.Pod](r.setInf, func(obj T) (labels.Selector, error) {
		return metav1.LabelSelectorAsSelector(kind.View(obj).Spec.Selector)
	})))
	return r
}

// Run works until ctx ends.
func (r *Controller[T]) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.setInf, r.podInf)
}

// perPod is for how long changes of a set's pods are gathered, for each of
// them: a run costs what the set has, not what changed of it. Small sets do
// not wait, and none waits longer than mostGathering.
const (
	perPod        = 200 * time.Microsecond
	mostGathering = 200 * time.Millisecond
	smallSet      = 50
)

// podChanged makes a set due on behalf of one of its pods.
func (r *Controller[T]) podChanged(key reconcile.Key) {
	obj, ok := r.setInf.Get(key.Namespace, key.Name)
	if !ok {
		r.loop.Enqueue(key)
		return
	}
	r.loop.EnqueueAfter(key, gathering(int(desired(r.kind.View(obj)))))
}

// gathering is how long the changes of a set of so many pods are gathered.
func gathering(pods int) time.Duration {
	if pods < smallSet {
		return 0
	}
	return min(time.Duration(pods)*perPod, mostGathering)
}

func (r *Controller[T]) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	obj, ok := r.setInf.Get(key.Namespace, key.Name)
	if !ok {
		r.expects.Forget(key)
		r.own.Forget(key)
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, obj) {
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	rs := r.kind.View(obj)
	settled := r.expects.Settled(key)
	owned, err := r.claim(ctx, obj, rs)
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
		failure = r.apply(ctx, obj, rs, p)
	}
	wait, err := r.updateStatus(ctx, obj, rs, owned, failure, p)
	if failure != nil {
		return reconcile.Result{}, failure
	}
	if !settled && (wait == 0 || wait > r.expects.Patience()) {
		wait = r.expects.Patience()
	}
	return reconcile.Result{RequeueAfter: wait}, err
}

// claim adopts and releases, and gives the pods that the object controls.
func (r *Controller[T]) claim(ctx context.Context, obj T, rs *appsv1.ReplicaSet) ([]*corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return nil, reconcile.Terminal(err)
	}
	claim := own.Plan(rs, selector, own.Candidates(r.podInf, rs), pods.Active)
	return own.Apply(ctx, r.write.Pods, claim, own.Ref(rs, r.kind.GVK), own.Confirm(r.sets, obj))
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
func (r *Controller[T]) related(rs *appsv1.ReplicaSet) []*corev1.Pod {
	ref := metav1.GetControllerOfNoCopy(rs)
	if ref == nil {
		return r.podInf.ByIndex(own.Index, string(rs.UID))
	}
	var out []*corev1.Pod
	for _, sibling := range r.setInf.ByIndex(own.Index, string(ref.UID)) {
		out = append(out, r.podInf.ByIndex(own.Index, string(sibling.GetUID()))...)
	}
	return out
}

// apply creates or deletes the pods of a plan.
func (r *Controller[T]) apply(ctx context.Context, obj T, rs *appsv1.ReplicaSet, p plan) error {
	if p.create > 0 {
		_, err := batch.SlowStart(p.create, func(int) error {
			return r.write.Create(ctx, obj, podwrite.New(rs, r.kind.GVK, &rs.Spec.Template))
		})
		if podwrite.Pointless(err) {
			return nil // nothing can be created any more, and nothing need be
		}
		return err
	}
	return batch.All(len(p.remove), func(i int) error { return r.write.Delete(ctx, obj, p.remove[i]) })
}

func (r *Controller[T]) updateStatus(ctx context.Context, obj T, rs *appsv1.ReplicaSet, owned []*corev1.Pod, failure error, p plan) (time.Duration, error) {
	status, wait := planStatus(rs, owned, failure, p, time.Now())
	changed := r.kind.WithStatus(obj, status)
	if equality.Semantic.DeepEqual(r.kind.View(changed).Status, rs.Status) {
		return wait, nil
	}
	out, err := r.sets.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err == nil {
		r.own.Wrote(own.KeyOf(obj), out)
	}
	return wait, err
}
