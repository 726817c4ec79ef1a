// Package ttlafterfinished deletes jobs some time after they have finished, as
// their spec.ttlSecondsAfterFinished says. Their pods go with them.
//
// It deletes jobs and writes nothing else; it keeps no state beside its queue.
package ttlafterfinished

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	jobs   client.Typed[*batchv1.Job]
	jobInf *client.Informer[*batchv1.Job]
	loop   *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informer.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	r := &Controller{jobs: client.For[*batchv1.Job](c), jobInf: client.InformerFor[*batchv1.Job](inf)}
	r.loop = reconcile.New("ttlafterfinished", r.reconcile, opts)
	r.jobInf.OnChange(func(_, new *batchv1.Job) {
		if new == nil {
			return
		}
		if _, ok := due(new); ok {
			r.loop.Enqueue(own.KeyOf(new))
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.jobInf)
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	j, ok := r.jobInf.Get(key.Namespace, key.Name)
	if !ok {
		return reconcile.Result{}, nil
	}
	at, ok := due(j)
	if !ok {
		return reconcile.Result{}, nil
	}
	if left := time.Until(at); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	foreground := metav1.DeletePropagationForeground
	err := r.jobs.Delete(ctx, j.Namespace, j.Name, metav1.DeleteOptions{
		PropagationPolicy: &foreground,
		// A job that changed may have been given more time.
		Preconditions: &metav1.Preconditions{UID: &j.UID, ResourceVersion: &j.ResourceVersion},
	})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}
