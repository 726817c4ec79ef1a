// Package admissionpolicy checks the expressions of validating admission
// policies against the types of the kinds that they are about, and writes what
// does not fit into the policies' status. Warnings change nothing in how a
// policy judges.
//
// It alone writes status.typeChecking and status.observedGeneration of
// ValidatingAdmissionPolicies; it keeps no state beside its queue. Checking is
// pure (Check).
package admissionpolicy

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

type policy = admissionregistrationv1.ValidatingAdmissionPolicy

// Controller runs the loop. Make it with New.
type Controller struct {
	policies client.Typed[*policy]
	informer *client.Informer[*policy]
	types    Types
	loop     *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informer.
func New(c *client.Client, inf *client.Informers, types Types, opts reconcile.Options) *Controller {
	r := &Controller{policies: client.For[*policy](c), informer: client.InformerFor[*policy](inf), types: types}
	r.loop = reconcile.New("admissionpolicy", r.reconcile, opts)
	r.informer.OnChange(func(_, p *policy) {
		if p != nil && p.Status.ObservedGeneration != p.Generation {
			r.loop.Enqueue(own.KeyOf(p))
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.informer)
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	p, ok := r.informer.Get(key.Namespace, key.Name)
	if !ok || p.Status.ObservedGeneration == p.Generation {
		return reconcile.Result{}, nil
	}
	changed := p.DeepCopy()
	changed.Status.ObservedGeneration = p.Generation
	changed.Status.TypeChecking = &admissionregistrationv1.TypeChecking{ExpressionWarnings: Check(p, r.types)}
	_, err := r.policies.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}
