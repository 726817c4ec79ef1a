// Package disruption counts PodDisruptionBudgets: how many pods of each may
// be evicted now.
//
// It writes the status of budgets, which it shares with the eviction of pods:
// an eviction takes one from disruptionsAllowed and notes the pod in
// disruptedPods, both guarded by the budget's resourceVersion, so that neither
// writes over the other. A noted pod counts as gone until it is, or until two
// minutes have passed.
//
// It also takes back the DisruptionTarget condition of pods that were marked
// to go and, two minutes later, are not going.
package disruption

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/custom"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loops. Make it with New.
type Controller struct {
	budgets   client.Typed[*policyv1.PodDisruptionBudget]
	pods      client.Typed[*corev1.Pod]
	budgetInf *client.Informer[*policyv1.PodDisruptionBudget]
	podInf    *client.Informer[*corev1.Pod]
	scales    *scales
	events    *record.Recorder
	own       expect.Own
	count     *reconcile.Controller[reconcile.Key] // keys are budgets
	unmark    *reconcile.Controller[reconcile.Key] // keys are pods
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		budgets: client.For[*policyv1.PodDisruptionBudget](c), pods: client.For[*corev1.Pod](c),
		budgetInf: client.InformerFor[*policyv1.PodDisruptionBudget](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		scales: newScales(c.Catalog(), inf), events: events,
	}
	r.count = reconcile.New("disruption", r.reconcile, opts)
	r.unmark = reconcile.New("stale-pod-disruption", r.unmarkStale, opts)
	r.budgetInf.OnChange(func(old, new *policyv1.PodDisruptionBudget) {
		if new == nil {
			new = old
		}
		r.count.Enqueue(own.KeyOf(new))
	})
	r.podInf.OnChange(r.podChanged)
	for _, kind := range r.scales.all() {
		kind.informer.OnChange(func(old, new api.Object) { r.scaleChanged(kind, old, new) })
	}
	r.follow(c, inf)
	return r
}

// follow takes in the custom resources that have a scale.
func (r *Controller) follow(c *client.Client, inf *client.Informers) {
	custom.Follow(c, inf, custom.Handler{
		Come: func(informer *client.Informer[api.Object]) {
			if kind, ok := r.scales.put(informer); ok {
				informer.OnChange(func(old, new api.Object) { r.scaleChanged(kind, old, new) })
			}
		},
		Gone: func(old, next *client.Informer[api.Object]) {
			if next == nil {
				r.scales.drop(old.Kind())
			}
			for _, obj := range old.List("", nil) {
				r.wakeShares(obj.GetNamespace())
			}
		},
	})
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	if r.budgetInf.WaitSynced(ctx) != nil || r.podInf.WaitSynced(ctx) != nil {
		return
	}
	for _, kind := range r.scales.all() {
		if kind.informer.WaitSynced(ctx) != nil && ctx.Err() != nil {
			return
		}
	}
	var running sync.WaitGroup
	running.Go(func() { r.count.Run(ctx) })
	running.Go(func() { r.unmark.Run(ctx) })
	running.Wait()
}

// podChanged enqueues the budgets that count the pod otherwise than before.
func (r *Controller) podChanged(old, new *corev1.Pod) {
	if new != nil && stale(new) {
		r.unmark.Enqueue(own.KeyOf(new))
	}
	if old != nil && new != nil && countsAlike(old, new) {
		return
	}
	pod := new
	if pod == nil {
		pod = old
	}
	for _, b := range r.budgetInf.List(pod.Namespace, nil) {
		if new != nil && covers(b, new) || old != nil && covers(b, old) {
			r.count.Enqueue(own.KeyOf(b))
		}
	}
}

// countsAlike tells whether no budget can see a difference.
func countsAlike(old, new *corev1.Pod) bool {
	return pods.Ready(old) == pods.Ready(new) && (old.DeletionTimestamp == nil) == (new.DeletionTimestamp == nil) &&
		equality.Semantic.DeepEqual(old.Labels, new.Labels) &&
		equality.Semantic.DeepEqual(metav1.GetControllerOfNoCopy(old), metav1.GetControllerOfNoCopy(new))
}

func covers(b *policyv1.PodDisruptionBudget, pod *corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	return err == nil && selector.Matches(labels.Set(pod.Labels))
}

// scaleChanged enqueues the budgets that are a share of something in the
// namespace where the number of wanted pods changed.
func (r *Controller) scaleChanged(kind scalable, old, new api.Object) {
	if old != nil && new != nil && kind.wanted(old) == kind.wanted(new) {
		return
	}
	if new == nil {
		new = old
	}
	r.wakeShares(new.GetNamespace())
}

// wakeShares enqueues a namespace's budgets that are a share of what is wanted.
func (r *Controller) wakeShares(namespace string) {
	for _, b := range r.budgetInf.List(namespace, nil) {
		if byScale(b) {
			r.count.Enqueue(own.KeyOf(b))
		}
	}
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	b, ok := r.budgetInf.Get(key.Namespace, key.Name)
	if !ok {
		r.own.Forget(key)
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, b) {
		return reconcile.Result{}, nil // the event that shows the newer one comes
	}
	p, err := r.look(ctx, b, time.Now())
	if err != nil {
		// What is wrong is in the objects; their changes bring the key back.
		reconcile.Logger(ctx).Warn("a disruption budget cannot be counted, so nothing of it may be evicted", "error", err)
		p = plan{status: failed(b, err, time.Now())}
	}
	for _, pod := range p.overdue {
		r.events.Eventf(pod, corev1.EventTypeWarning, "NotDeleted", "Pod was expected by PDB %s/%s to be deleted but it wasn't", b.Namespace, b.Name)
	}
	return reconcile.Result{RequeueAfter: p.recheck}, r.write(ctx, b, p.status)
}

// look counts a budget and says in events what is odd about it.
func (r *Controller) look(ctx context.Context, b *policyv1.PodDisruptionBudget, now time.Time) (plan, error) {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		r.events.Eventf(b, corev1.EventTypeWarning, "NoPods", "Failed to get pods: %v", err)
		return plan{}, err
	}
	seen := r.podInf.Seen() // before the pods are looked at: they are at least as new
	covered := r.podInf.List(b.Namespace, selector)
	if len(covered) == 0 {
		r.events.Event(b, corev1.EventTypeNormal, "NoPods", "No matching pods found")
	}
	scale, unmanaged := int32(0), []*corev1.Pod(nil)
	if byScale(b) {
		scale, unmanaged, err = r.scales.of(ctx, covered)
	}
	var p plan
	if err == nil {
		p, err = planStatus(b, view{covered: covered, scale: scale, late: seen < client.Revision(b)}, now)
	}
	if err != nil {
		r.events.Eventf(b, corev1.EventTypeWarning, "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: %v", err)
		return plan{}, err
	}
	if len(unmanaged) > 0 {
		r.events.Eventf(b, corev1.EventTypeWarning, "UnmanagedPods", "Pods selected by this PodDisruptionBudget (selector: %v) were found "+
			"to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "+
			"To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.", b.Spec.Selector)
	}
	return p, nil
}

func (r *Controller) write(ctx context.Context, b *policyv1.PodDisruptionBudget, status policyv1.PodDisruptionBudgetStatus) error {
	if equality.Semantic.DeepEqual(status, b.Status) {
		return nil
	}
	changed := b.DeepCopy()
	changed.Status = status
	out, err := r.budgets.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		r.own.Wrote(own.KeyOf(b), out)
	}
	return err
}
