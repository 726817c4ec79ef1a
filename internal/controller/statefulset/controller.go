package statefulset

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
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/history"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	sets     client.Typed[*appsv1.StatefulSet]
	pods     client.Typed[*corev1.Pod]
	claims   client.Typed[*corev1.PersistentVolumeClaim]
	history  history.Keeper
	setInf   *client.Informer[*appsv1.StatefulSet]
	podInf   *client.Informer[*corev1.Pod]
	claimInf *client.Informer[*corev1.PersistentVolumeClaim]
	revInf   *client.Informer[*appsv1.ControllerRevision]
	events   *record.Recorder
	expects  *expect.Tracker[*corev1.Pod]
	own      expect.Own
	loop     *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		sets: client.For[*appsv1.StatefulSet](c), pods: client.For[*corev1.Pod](c), claims: client.For[*corev1.PersistentVolumeClaim](c),
		history: history.Keeper{Revisions: client.For[*appsv1.ControllerRevision](c)},
		setInf:  client.InformerFor[*appsv1.StatefulSet](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		claimInf: client.InformerFor[*corev1.PersistentVolumeClaim](inf), revInf: client.InformerFor[*appsv1.ControllerRevision](inf),
		events: events,
	}
	r.expects = expect.New(r.podInf)
	r.loop = reconcile.New("statefulset", r.reconcile, opts)
	own.AddIndex(r.podInf)
	own.AddIndex(r.revInf)
	r.setInf.OnChange(own.Enqueuer[*appsv1.StatefulSet](r.loop.Enqueue))
	r.podInf.OnChange(own.Waker("StatefulSet", r.loop.Enqueue, own.Adopters[*appsv1.StatefulSet, *corev1.Pod](r.setInf, func(set *appsv1.StatefulSet) (labels.Selector, error) {
		return metav1.LabelSelectorAsSelector(set.Spec.Selector)
	})))
	r.claimInf.OnChange(r.claimChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.setInf, r.podInf, r.claimInf, r.revInf)
}

// claimChanged wakes the set that a claim's name speaks of, where there is
// one: the claim went, so that a new one can be made, or its owners changed.
func (r *Controller) claimChanged(old, new *corev1.PersistentVolumeClaim) {
	if old == nil || new != nil && equality.Semantic.DeepEqual(old.OwnerReferences, new.OwnerReferences) {
		return
	}
	parent, _, ok := split(old.Name)
	for i := 0; ok && i < len(parent); i++ { // parent is TEMPLATE-SET, and both may hold dashes
		if parent[i] != '-' {
			continue
		}
		if _, there := r.setInf.Get(old.Namespace, parent[i+1:]); there {
			r.loop.Enqueue(reconcile.Key{Namespace: old.Namespace, Name: parent[i+1:]})
		}
	}
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	set, ok := r.setInf.Get(key.Namespace, key.Name)
	if !ok {
		r.expects.Forget(key)
		r.own.Forget(key)
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, set) || !r.expects.Settled(key) {
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	owned, revisions, err := r.adopt(ctx, set)
	if err != nil {
		return reconcile.Result{}, err
	}
	past := ownerOf(set)
	updated, revisions, collisions, err := r.history.Ensure(ctx, past, revisions)
	if err != nil {
		return reconcile.Result{}, err
	}
	in, err := r.input(set, owned, revisions, updated)
	if err != nil {
		return reconcile.Result{}, reconcile.Terminal(err)
	}
	failure := r.apply(ctx, set, plan(in))
	status, wait := planStatus(in, collisions)
	if err := r.writeStatus(ctx, set, status); err != nil {
		return reconcile.Result{}, err
	}
	if failure != nil {
		return reconcile.Result{}, failure
	}
	return reconcile.Result{RequeueAfter: wait}, r.history.Truncate(ctx, past, revisions, inUse(in, status))
}

// adopt takes pods of the set's names and revisions that nobody controls, and
// lets go what the selector does not take any more.
func (r *Controller) adopt(ctx context.Context, set *appsv1.StatefulSet) ([]*corev1.Pod, []*appsv1.ControllerRevision, error) {
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, nil, reconcile.Terminal(err)
	}
	ref, confirm := own.Ref(set, gvk()), own.Confirm(r.sets, set)
	claim := own.Plan(set, selector, own.Candidates(r.podInf, set), func(pod *corev1.Pod) bool {
		_, ours := ordinalOf(set, pod)
		return ours
	})
	owned, err := own.Apply(ctx, r.pods, claim, ref, confirm)
	if err != nil {
		return nil, nil, err
	}
	past := own.Plan(set, selector, own.Candidates(r.revInf, set), func(*appsv1.ControllerRevision) bool { return true })
	revisions, err := own.Apply(ctx, r.history.Revisions, past, ref, confirm)
	return owned, revisions, err
}

func ownerOf(set *appsv1.StatefulSet) history.Owner {
	o := history.Owner{
		Object: set, GVK: gvk(), Template: &set.Spec.Template, HashLabel: appsv1.ControllerRevisionHashLabelKey,
		Collisions: set.Status.CollisionCount, Limit: 10,
	}
	if set.Spec.RevisionHistoryLimit != nil {
		o.Limit = *set.Spec.RevisionHistoryLimit
	}
	return o
}

// input gathers what a plan looks at.
func (r *Controller) input(set *appsv1.StatefulSet, owned []*corev1.Pod, revisions []*appsv1.ControllerRevision, updated *appsv1.ControllerRevision) (input, error) {
	in := input{
		set: set, pods: make(map[int]*corev1.Pod, len(owned)), now: time.Now(),
		update: revision{name: updated.Name, template: &set.Spec.Template},
		claim: func(name string) (*corev1.PersistentVolumeClaim, bool) {
			return r.claimInf.Get(set.Namespace, name)
		},
	}
	in.current = in.update
	for _, rev := range revisions {
		if rev.Name != set.Status.CurrentRevision || rev.Name == updated.Name {
			continue
		}
		template, err := history.Template(rev)
		if err != nil {
			return in, err
		}
		in.current = revision{name: rev.Name, template: template}
	}
	for _, pod := range owned {
		if ordinal, ok := ordinalOf(set, pod); ok {
			in.pods[ordinal] = pod
		}
	}
	return in, nil
}

// inUse tells which revisions must stay: the two of the status and those of
// pods.
func inUse(in input, status appsv1.StatefulSetStatus) func(*appsv1.ControllerRevision) bool {
	live := map[string]bool{status.CurrentRevision: true, status.UpdateRevision: true}
	for _, pod := range in.pods {
		live[pod.Labels[revisionLabel]] = true
	}
	return func(rev *appsv1.ControllerRevision) bool { return live[rev.Name] }
}

func (r *Controller) writeStatus(ctx context.Context, set *appsv1.StatefulSet, status appsv1.StatefulSetStatus) error {
	if equality.Semantic.DeepEqual(status, set.Status) {
		return nil
	}
	changed := set.DeepCopy()
	changed.Status = status
	out, err := r.sets.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		r.own.Wrote(own.KeyOf(set), out)
	}
	return err
}
