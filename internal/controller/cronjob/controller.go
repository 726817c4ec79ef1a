// Package cronjob starts jobs at the times that CronJobs name.
//
// schedule.go and plan.go are pure. The controller writes jobs (creation and
// deletion) and the status of CronJobs; nobody else writes that status. A
// start's job is named after its minute, so that a start whose status was not
// written before a crash finds its job instead of making a second one.
package cronjob

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	cronJobs client.Typed[*batchv1.CronJob]
	jobs     client.Typed[*batchv1.Job]
	cronInf  *client.Informer[*batchv1.CronJob]
	jobInf   *client.Informer[*batchv1.Job]
	events   *record.Recorder
	expects  *expect.Tracker[*batchv1.Job]
	own      expect.Own
	loop     *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		cronJobs: client.For[*batchv1.CronJob](c), jobs: client.For[*batchv1.Job](c),
		cronInf: client.InformerFor[*batchv1.CronJob](inf), jobInf: client.InformerFor[*batchv1.Job](inf), events: events,
	}
	r.expects = expect.New(r.jobInf)
	r.loop = reconcile.New("cronjob", r.reconcile, opts)
	own.AddIndex(r.jobInf)
	r.cronInf.OnChange(own.Enqueuer[*batchv1.CronJob](r.loop.Enqueue))
	r.jobInf.OnChange(own.Waker("CronJob", r.loop.Enqueue, func(*batchv1.Job) []reconcile.Key { return nil }))
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.cronInf, r.jobInf)
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	cj, ok := r.cronInf.Get(key.Namespace, key.Name)
	if !ok {
		r.expects.Forget(key)
		r.own.Forget(key)
		return reconcile.Result{}, nil
	}
	if r.own.Stale(key, cj) || !r.expects.Settled(key) {
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	p := next(input{cj: cj, jobs: r.jobInf.ByIndex(own.Index, string(cj.UID)), now: time.Now()})
	for _, e := range p.events {
		r.events.Event(cj, e.typ, e.reason, e.message)
	}
	if err := r.apply(ctx, cj, &p); err != nil {
		return reconcile.Result{}, err // the status tells of what was done, and that is not all
	}
	return reconcile.Result{RequeueAfter: p.wait}, r.writeStatus(ctx, cj, p.status)
}

func (r *Controller) apply(ctx context.Context, cj *batchv1.CronJob, p *plan) error {
	for _, j := range p.remove {
		if err := r.remove(ctx, cj, j); err != nil {
			return err
		}
	}
	if p.create == nil {
		return nil
	}
	made, err := r.start(ctx, cj, p.create)
	if err == nil && made != nil {
		p.status = started(p.status, made, p.at)
	}
	return err
}

// start makes the job, or finds that it was made before; nil where nothing
// can be made any more.
func (r *Controller) start(ctx context.Context, cj *batchv1.CronJob, j *batchv1.Job) (*batchv1.Job, error) {
	made, err := r.jobs.Create(ctx, j)
	switch {
	case err == nil:
		r.expects.Created(own.KeyOf(cj), made)
		r.events.Eventf(cj, corev1.EventTypeNormal, "SuccessfulCreate", "Created job %v", made.Name)
		return made, nil
	case podwrite.Pointless(err):
		return nil, nil
	case apierrors.IsAlreadyExists(err):
		there, gerr := r.jobs.Get(ctx, j.Namespace, j.Name)
		if gerr != nil {
			return nil, gerr
		}
		if !metav1.IsControlledBy(there, cj) {
			return nil, fmt.Errorf("a job %s exists that is not the cron job's: rename or delete it", j.Name)
		}
		return there, nil
	}
	r.events.Eventf(cj, corev1.EventTypeWarning, "FailedCreate", "Error creating job: %v", err)
	return nil, err
}

func (r *Controller) remove(ctx context.Context, cj *batchv1.CronJob, j *batchv1.Job) error {
	background := metav1.DeletePropagationBackground
	r.expects.Deleting(own.KeyOf(cj), j)
	err := r.jobs.Delete(ctx, j.Namespace, j.Name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: metav1.NewUIDPreconditions(string(j.UID)),
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		r.expects.Failed(own.KeyOf(cj), j)
		r.events.Eventf(cj, corev1.EventTypeWarning, "FailedDelete", "Deleted job: %v", err)
		return err
	}
	r.events.Eventf(cj, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted job %v", j.Name)
	return nil
}

func (r *Controller) writeStatus(ctx context.Context, cj *batchv1.CronJob, status batchv1.CronJobStatus) error {
	if equality.Semantic.DeepEqual(cj.Status, status) {
		return nil
	}
	changed := cj.DeepCopy()
	changed.Status = status
	out, err := r.cronJobs.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		r.own.Wrote(own.KeyOf(cj), out)
	}
	return err
}
