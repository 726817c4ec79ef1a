package autoscaler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

const (
	// resync is how often metrics are asked for, as upstream does.
	resync = 15 * time.Second
	// settling is how soon a new or changed autoscaler is looked at: what is
	// written in between counts with it.
	settling = time.Second
)

// Controller runs the loop. Make it with New.
type Controller struct {
	client *client.Client
	hpas   client.Typed[*autoscalingv2.HorizontalPodAutoscaler]
	hpaInf *client.Informer[*autoscalingv2.HorizontalPodAutoscaler]
	podInf *client.Informer[*corev1.Pod]
	source source
	events *record.Recorder
	own    expect.Own
	loop   *reconcile.Controller[reconcile.Key]

	mu        sync.Mutex
	past      map[reconcile.Key]memory          // guarded by mu
	selectors map[reconcile.Key]labels.Selector // guarded by mu; of targets, as last seen
}

// memory is what is known of an autoscaler, and of no later one of its name.
type memory struct {
	of   types.UID
	past history
}

// New wires the controller to its informers; get reads metrics.
func New(c *client.Client, inf *client.Informers, get Get, events *record.Recorder, opts reconcile.Options) *Controller {
	opts.MinBackoff, opts.MaxBackoff = resync, resync
	r := &Controller{
		client: c, hpas: client.For[*autoscalingv2.HorizontalPodAutoscaler](c),
		hpaInf: client.InformerFor[*autoscalingv2.HorizontalPodAutoscaler](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		events: events, past: map[reconcile.Key]memory{}, selectors: map[reconcile.Key]labels.Selector{},
	}
	r.source = source{get: get, resource: r.resource}
	r.loop = reconcile.New("horizontalpodautoscaler", r.reconcile, opts)
	r.hpaInf.OnChange(func(old, new *autoscalingv2.HorizontalPodAutoscaler) {
		switch {
		case new == nil:
			r.loop.Enqueue(own.KeyOf(old)) // to forget it
		case old == nil || !equality.Semantic.DeepEqual(old.Spec, new.Spec):
			r.loop.EnqueueAfter(own.KeyOf(new), settling)
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.hpaInf, r.podInf)
}

func (r *Controller) resource(gk schema.GroupKind) (schema.GroupResource, bool) {
	for _, k := range allKinds(r.client) {
		if k.GVK.GroupKind() == gk {
			return k.GroupResource(), true
		}
	}
	return schema.GroupResource{}, false
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	hpa, ok := r.hpaInf.Get(key.Namespace, key.Name)
	if !ok {
		r.forget(key)
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, hpa) {
		return reconcile.Result{RequeueAfter: settling}, nil
	}
	p, err := r.work(ctx, key, hpa)
	if err != nil {
		return reconcile.Result{}, err
	}
	r.mu.Lock()
	r.past[key] = memory{hpa.UID, p.past}
	r.mu.Unlock()
	for _, e := range p.events {
		r.events.Event(hpa, e.typ, e.reason, e.message)
	}
	return reconcile.Result{RequeueAfter: resync}, r.writeStatus(ctx, hpa, p.status)
}

// work decides and writes the target's scale. Its error is only the end of
// ctx: what else goes wrong stands in the plan.
func (r *Controller) work(ctx context.Context, key reconcile.Key, hpa *autoscalingv2.HorizontalPodAutoscaler) (plan, error) {
	past := r.known(key, hpa.UID)
	t, err := targetOf(r.client, hpa)
	var scale *autoscalingv1.Scale
	if err == nil {
		scale, err = t.read(ctx)
	}
	if ctx.Err() != nil {
		return plan{}, ctx.Err()
	}
	if err != nil {
		return noScale(hpa, err, past, time.Now()), nil
	}
	in := r.look(ctx, key, hpa, scale)
	in.past, in.now = past, time.Now()
	if ctx.Err() != nil {
		return plan{}, ctx.Err()
	}
	p := next(in)
	if !p.rescale {
		return p, nil
	}
	if err := t.write(ctx, scale, p.desired); err != nil {
		p.refused(err, hpa.Status.DesiredReplicas, time.Now())
	} else {
		p.scaled(in.current, time.Now())
	}
	return p, nil
}

// look gathers what a decision depends on. Metrics are asked for only where
// they count.
func (r *Controller) look(ctx context.Context, key reconcile.Key, hpa *autoscalingv2.HorizontalPodAutoscaler, scale *autoscalingv1.Scale) input {
	in := input{hpa: hpa, current: scale.Spec.Replicas, observed: scale.Status.Replicas}
	if in.current == 0 || in.current > hpa.Spec.MaxReplicas || in.current < minimum(hpa) {
		return in
	}
	var selector labels.Selector
	if selector, in.pods, in.selection = r.selected(key, scale.Status.Selector); in.selection != nil {
		return in
	}
	for i := range hpa.Spec.Metrics {
		in.readings = append(in.readings, r.source.read(ctx, hpa.Namespace, &hpa.Spec.Metrics[i], selector))
	}
	return in
}

// selected finds the target's pods, which must be no other autoscaler's.
func (r *Controller) selected(key reconcile.Key, text string) (labels.Selector, []*corev1.Pod, *failure) {
	if text == "" {
		return nil, nil, &failure{reason: "SelectorRequired", cause: errors.New("selector is required"),
			condition: "InvalidSelector", shown: "the HPA target's scale is missing a selector"}
	}
	selector, err := labels.Parse(text)
	if err != nil {
		err = fmt.Errorf("couldn't convert selector into a corresponding internal selector object: %w", err)
		return nil, nil, &failure{reason: "InvalidSelector", cause: err, condition: "InvalidSelector", shown: err.Error()}
	}
	pods := r.podInf.List(key.Namespace, selector)
	if all := r.selecting(key, selector, pods); len(all) > 1 {
		err := fmt.Errorf("pods by selector %v are controlled by multiple HPAs: %v", text, all)
		return nil, nil, &failure{reason: "AmbiguousSelector", cause: err, condition: "AmbiguousSelector", shown: err.Error()}
	}
	return selector, pods, nil
}

// named is how upstream's messages show an autoscaler.
type named struct{ Name, Namespace string }

// selecting notes an autoscaler's selector and names all that take its pods.
func (r *Controller) selecting(key reconcile.Key, selector labels.Selector, pods []*corev1.Pod) []named {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.selectors[key] = selector
	var out []named
	for other, s := range r.selectors {
		takes := func(pod *corev1.Pod) bool { return s.Matches(labels.Set(pod.Labels)) }
		if other.Namespace == key.Namespace && slices.ContainsFunc(pods, takes) {
			out = append(out, named{other.Name, other.Namespace})
		}
	}
	slices.SortFunc(out, func(a, b named) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (r *Controller) known(key reconcile.Key, uid types.UID) history {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.past[key]; m.of == uid {
		return m.past
	}
	return history{}
}

func (r *Controller) forget(key reconcile.Key) {
	r.own.Forget(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.past, key)
	delete(r.selectors, key)
}

func (r *Controller) writeStatus(ctx context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, status autoscalingv2.HorizontalPodAutoscalerStatus) error {
	if equality.Semantic.DeepEqual(hpa.Status, status) {
		return nil
	}
	changed := hpa.DeepCopy()
	changed.Status = status
	out, err := r.hpas.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		r.events.Event(hpa, corev1.EventTypeWarning, "FailedUpdateStatus", err.Error())
		return fmt.Errorf("updating the status of %s: %w", hpa.Name, err)
	}
	r.own.Wrote(own.KeyOf(hpa), out)
	return nil
}
