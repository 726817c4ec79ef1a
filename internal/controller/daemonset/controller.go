package daemonset

import (
	"context"
	"errors"
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
	"github.com/knarr-io/knarr/internal/controller/internal/history"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	sets    client.Typed[*appsv1.DaemonSet]
	history history.Keeper
	setInf  *client.Informer[*appsv1.DaemonSet]
	podInf  *client.Informer[*corev1.Pod]
	nodeInf *client.Informer[*corev1.Node]
	revInf  *client.Informer[*appsv1.ControllerRevision]
	events  *record.Recorder
	write   podwrite.Writer
	expects *expect.Tracker[*corev1.Pod]
	own     expect.Own
	failed  backoffs
	loop    *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		sets:    client.For[*appsv1.DaemonSet](c),
		history: history.Keeper{Revisions: client.For[*appsv1.ControllerRevision](c)},
		setInf:  client.InformerFor[*appsv1.DaemonSet](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		nodeInf: client.InformerFor[*corev1.Node](inf), revInf: client.InformerFor[*appsv1.ControllerRevision](inf),
		events: events,
	}
	r.expects = expect.New(r.podInf)
	r.write = podwrite.Writer{Pods: client.For[*corev1.Pod](c), Events: events, Expects: r.expects}
	r.loop = reconcile.New("daemonset", r.reconcile, opts)
	own.AddIndex(r.podInf)
	own.AddIndex(r.revInf)
	r.setInf.OnChange(own.Enqueuer[*appsv1.DaemonSet](r.loop.Enqueue))
	r.podInf.OnChange(own.Waker("DaemonSet", r.loop.Enqueue, own.Adopters[*appsv1.DaemonSet, *corev1.Pod](r.setInf, func(ds *appsv1.DaemonSet) (labels.Selector, error) {
		return metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	})))
	r.revInf.OnChange(own.Waker("DaemonSet", r.loop.Enqueue, func(*appsv1.ControllerRevision) []reconcile.Key { return nil }))
	r.nodeInf.OnChange(r.nodeChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.setInf, r.podInf, r.nodeInf, r.revInf)
}

// nodeChanged wakes the sets for which a node came, went or changed its mind;
// heartbeats do not matter.
func (r *Controller) nodeChanged(old, new *corev1.Node) {
	if old != nil && new != nil && labels.Equals(old.Labels, new.Labels) && equality.Semantic.DeepEqual(old.Spec.Taints, new.Spec.Taints) {
		return
	}
	for _, ds := range r.setInf.List("", nil) {
		placer := newPlacer(ds)
		var before, after struct{ there, run, keep bool }
		if old != nil {
			before.there = true
			before.run, before.keep = placer.fits(old)
		}
		if new != nil {
			after.there = true
			after.run, after.keep = placer.fits(new)
		}
		if before != after {
			r.loop.Enqueue(own.KeyOf(ds))
		}
	}
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	ds, ok := r.setInf.Get(key.Namespace, key.Name)
	if !ok {
		r.expects.Forget(key)
		r.own.Forget(key)
		return reconcile.Result{}, nil
	}
	if ds.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, ds) {
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	settled := r.expects.Settled(key)
	owned, revisions, err := r.adopt(ctx, ds)
	if err != nil {
		return reconcile.Result{}, err
	}
	past := ownerOf(ds)
	updated, revisions, collisions, err := r.history.Ensure(ctx, past, revisions)
	if err != nil {
		return reconcile.Result{}, err
	}
	in := r.input(ds, owned, updated.Labels[hashLabel])
	wait := r.expects.Patience()
	var failure error
	if settled {
		w := plan(in)
		wait, failure = w.wait, r.apply(ctx, in, w)
	}
	ready, err := r.writeStatus(ctx, in, collisions)
	if err != nil || failure != nil {
		return reconcile.Result{}, errors.Join(failure, err)
	}
	if ready > 0 && (wait == 0 || ready < wait) {
		wait = ready
	}
	return reconcile.Result{RequeueAfter: wait}, r.history.Truncate(ctx, past, revisions, inUse(owned, updated))
}

func (r *Controller) adopt(ctx context.Context, ds *appsv1.DaemonSet) ([]*corev1.Pod, []*appsv1.ControllerRevision, error) {
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return nil, nil, reconcile.Terminal(err)
	}
	ref, confirm := own.Ref(ds, gvk()), own.Confirm(r.sets, ds)
	owned, err := own.Apply(ctx, r.write.Pods, own.Plan(ds, selector, own.Candidates(r.podInf, ds), pods.Active), ref, confirm)
	if err != nil {
		return nil, nil, err
	}
	past := own.Plan(ds, selector, own.Candidates(r.revInf, ds), func(*appsv1.ControllerRevision) bool { return true })
	revisions, err := own.Apply(ctx, r.history.Revisions, past, ref, confirm)
	return owned, revisions, err
}

func ownerOf(ds *appsv1.DaemonSet) history.Owner {
	o := history.Owner{
		Object: ds, GVK: gvk(), Template: &ds.Spec.Template, HashLabel: hashLabel, Collisions: ds.Status.CollisionCount, Limit: 10,
	}
	if ds.Spec.RevisionHistoryLimit != nil {
		o.Limit = *ds.Spec.RevisionHistoryLimit
	}
	return o
}

func (r *Controller) input(ds *appsv1.DaemonSet, owned []*corev1.Pod, hash string) input {
	now := time.Now()
	in := input{
		ds: ds, hash: hash, nodes: r.nodeInf.List("", nil), pods: make(map[string][]*corev1.Pod, len(owned)), now: now,
		backoff: func(node string) time.Duration { return r.failed.left(spot{ds.UID, node}, now) },
	}
	for _, pod := range owned {
		if node := nodeOf(pod); node != "" {
			in.pods[node] = append(in.pods[node], pod)
		}
	}
	return in
}

// inUse tells which revisions must stay: the present one and those of pods.
func inUse(owned []*corev1.Pod, updated *appsv1.ControllerRevision) func(*appsv1.ControllerRevision) bool {
	live := map[string]bool{updated.Labels[hashLabel]: true}
	for _, pod := range owned {
		live[pod.Labels[hashLabel]] = true
	}
	return func(rev *appsv1.ControllerRevision) bool { return live[rev.Labels[hashLabel]] }
}

func (r *Controller) apply(ctx context.Context, in input, w work) error {
	_, err := batch.SlowStart(len(w.create), func(i int) error {
		return r.write.Create(ctx, in.ds, newPod(in.ds, in.hash, w.create[i]))
	})
	if err != nil && !podwrite.Pointless(err) {
		return err
	}
	return batch.All(len(w.remove), func(i int) error { return r.remove(ctx, in, w.remove[i]) })
}

func (r *Controller) remove(ctx context.Context, in input, gone removal) error {
	pod, node := gone.pod, nodeOf(gone.pod)
	switch gone.why {
	case failed:
		r.events.Eventf(in.ds, corev1.EventTypeWarning, "FailedDaemonPod",
			"Found failed daemon pod %s/%s on node %s, will try to kill it", pod.Namespace, pod.Name, node)
		r.failed.next(spot{in.ds.UID, node}, in.now)
	case succeeded:
		r.events.Eventf(in.ds, corev1.EventTypeNormal, "SucceededDaemonPod",
			"Found succeeded daemon pod %s/%s on node %s, will try to delete it", pod.Namespace, pod.Name, node)
	}
	return r.write.Delete(ctx, in.ds, pod)
}

func (r *Controller) writeStatus(ctx context.Context, in input, collisions *int32) (time.Duration, error) {
	status, wait := planStatus(in, collisions)
	if equality.Semantic.DeepEqual(status, in.ds.Status) {
		return wait, nil
	}
	changed := in.ds.DeepCopy()
	changed.Status = status
	out, err := r.sets.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err == nil {
		r.own.Wrote(own.KeyOf(in.ds), out)
	}
	return wait, err
}
