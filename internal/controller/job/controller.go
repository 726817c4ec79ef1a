package job

import (
	"context"
	"errors"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	jobs    client.Typed[*batchv1.Job]
	jobInf  *client.Informer[*batchv1.Job]
	podInf  *client.Informer[*corev1.Pod]
	events  *record.Recorder
	write   podwrite.Writer
	expects *expect.Tracker[*corev1.Pod]
	own     expect.Own
	loop    *reconcile.Controller[reconcile.Key]
	strays  *reconcile.Controller[reconcile.Key] // pods
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		jobs: client.For[*batchv1.Job](c), jobInf: client.InformerFor[*batchv1.Job](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		events: events,
	}
	r.expects = expect.New(r.podInf)
	r.write = podwrite.Writer{Pods: client.For[*corev1.Pod](c), Events: events, Expects: r.expects}
	r.loop = reconcile.New("job", r.reconcile, opts)
	r.strays = reconcile.New("job-strays", r.freeStray, reconcile.Options{Logger: opts.Logger, Metrics: opts.Metrics})
	own.AddIndex(r.podInf)
	r.podInf.AddIndex(byJob, jobsOf)
	r.jobInf.OnChange(own.Enqueuer[*batchv1.Job](r.loop.Enqueue))
	r.podInf.OnChange(own.Waker("Job", r.loop.Enqueue, own.Adopters[*batchv1.Job, *corev1.Pod](r.jobInf, func(j *batchv1.Job) (labels.Selector, error) {
		return metav1.LabelSelectorAsSelector(j.Spec.Selector)
	})))
	r.podInf.OnChange(r.lookForStrays)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	if r.jobInf.WaitSynced(ctx) != nil || r.podInf.WaitSynced(ctx) != nil {
		return
	}
	done := make(chan struct{})
	go func() { defer close(done); r.strays.Run(ctx) }()
	r.loop.Run(ctx)
	<-done
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	j, ok := r.jobInf.Get(key.Namespace, key.Name)
	if err := r.freeFormer(ctx, key, j); err != nil {
		return reconcile.Result{}, err
	}
	if !ok {
		r.expects.Forget(key)
		r.own.Forget(key)
		return reconcile.Result{}, nil
	}
	if foreign(j) {
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, j) || !r.expects.Settled(key) {
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	if finished(&j.Status) {
		return reconcile.Result{}, r.freeAll(ctx, r.podInf.ByIndex(own.Index, string(j.UID)))
	}
	owned, err := r.adopt(ctx, j)
	if err != nil {
		return reconcile.Result{}, err
	}
	p := next(input{job: j, pods: owned, now: time.Now()})
	return reconcile.Result{RequeueAfter: p.wait}, r.apply(ctx, j, owned, p)
}

func (r *Controller) adopt(ctx context.Context, j *batchv1.Job) ([]*corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(j.Spec.Selector)
	if err != nil {
		return nil, reconcile.Terminal(err)
	}
	claim := own.Plan(j, selector, own.Candidates(r.podInf, j), pods.Active)
	claim.Finalizer = finalizer
	return own.Apply(ctx, r.write.Pods, claim, own.Ref(j, gvk()), own.Confirm(r.jobs, j))
}

// apply takes the step. What is counted is written before the finalizers go,
// and again when they have gone.
func (r *Controller) apply(ctx context.Context, j *batchv1.Job, owned []*corev1.Pod, p plan) error {
	failure := r.applyPods(ctx, j, p)
	current := j
	if j.DeletionTimestamp == nil {
		var err error
		if current, err = r.writeStatus(ctx, current, p.status); err != nil {
			return errors.Join(failure, err)
		}
		for _, e := range p.events {
			r.events.Event(j, e.typ, e.reason, e.message)
		}
	}
	freed, err := r.free(ctx, own.KeyOf(j), p.strip)
	failure = errors.Join(failure, err)
	if j.DeletionTimestamp != nil {
		return failure
	}
	status := settle(p.status, isTracked(without(owned, freed)), indexed(j))
	ended := false
	if failure == nil {
		status, ended = p.conclude(status)
	}
	if _, err := r.writeStatus(ctx, current, status); err != nil {
		return errors.Join(failure, err)
	}
	if ended {
		r.tellEnd(j, p.finish, status.Succeeded)
	}
	return failure
}

func (r *Controller) tellEnd(j *batchv1.Job, c *batchv1.JobCondition, succeeded int32) {
	if c.Type == batchv1.JobComplete {
		if j.Spec.Completions != nil && succeeded > *j.Spec.Completions {
			r.events.Event(j, corev1.EventTypeWarning, "TooManySucceededPods", "Too many succeeded pods running after completion count reached")
		}
		r.events.Event(j, corev1.EventTypeNormal, "Completed", "Job completed")
		return
	}
	r.events.Event(j, corev1.EventTypeWarning, c.Reason, c.Message)
}

// writeStatus writes where something changed, and gives the job as it is then.
func (r *Controller) writeStatus(ctx context.Context, j *batchv1.Job, status batchv1.JobStatus) (*batchv1.Job, error) {
	if equality.Semantic.DeepEqual(j.Status, status) {
		return j, nil
	}
	changed := j.DeepCopy()
	changed.Status = status
	out, err := r.jobs.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return j, nil
	}
	if err != nil {
		return j, err
	}
	r.own.Wrote(own.KeyOf(j), out)
	return out, nil
}
