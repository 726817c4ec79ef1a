// Package endpoints keeps the Endpoints object of every Service with a
// selector, for clients that do not know EndpointSlices.
//
// It writes those objects and nobody else does; Endpoints of Services without
// a selector belong to whoever made them.
package endpoints

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/selection"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	endpoints client.Typed[*corev1.Endpoints]
	svcInf    *client.Informer[*corev1.Service]
	podInf    *client.Informer[*corev1.Pod]
	epInf     *client.Informer[*corev1.Endpoints]
	events    *record.Recorder
	selected  *selection.Map
	loop      *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		endpoints: client.For[*corev1.Endpoints](c),
		svcInf:    client.InformerFor[*corev1.Service](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		epInf: client.InformerFor[*corev1.Endpoints](inf), events: events, selected: selection.New(),
	}
	r.loop = reconcile.New("endpoint", r.reconcile, opts)
	r.svcInf.OnChange(r.serviceChanged)
	r.podInf.OnChange(func(old, new *corev1.Pod) {
		if selection.Relevant(old, new) {
			for _, key := range r.selected.SetPod(old, new) {
				r.loop.Enqueue(key)
			}
		}
	})
	r.epInf.OnChange(func(old, new *corev1.Endpoints) {
		if new == nil {
			r.loop.Enqueue(reconcile.Key{Namespace: old.Namespace, Name: old.Name})
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	if r.svcInf.WaitSynced(ctx) != nil || r.podInf.WaitSynced(ctx) != nil || r.epInf.WaitSynced(ctx) != nil {
		return
	}
	for _, ep := range r.epInf.List("", nil) { // of Services that went while nobody looked
		if ep.Labels[managedLabel] == managedBy {
			r.loop.Enqueue(reconcile.Key{Namespace: ep.Namespace, Name: ep.Name})
		}
	}
	r.loop.Run(ctx)
}

func (r *Controller) serviceChanged(old, new *corev1.Service) {
	if new == nil {
		r.selected.DropService(own.KeyOf(old))
		r.loop.Enqueue(own.KeyOf(old))
		return
	}
	r.selected.SetService(new, r.podInf)
	r.loop.Enqueue(own.KeyOf(new))
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	svc, ok := r.svcInf.Get(key.Namespace, key.Name)
	if !ok {
		return reconcile.Result{}, r.remove(ctx, key)
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName || len(svc.Spec.Selector) == 0 {
		return reconcile.Result{}, nil
	}
	list := r.selected.Pods(svc, r.podInf)
	err := r.write(ctx, key, desired(svc, list))
	switch {
	case err == nil:
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reconcile.Result{}, nil
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
	default:
		r.events.Eventf(svc, corev1.EventTypeWarning, "FailedToUpdateEndpoint", "Failed to update endpoint %s: %v", key, err)
	}
	return reconcile.Result{}, err
}

// remove deletes what is left of a Service that is gone.
func (r *Controller) remove(ctx context.Context, key reconcile.Key) error {
	have, ok := r.epInf.Get(key.Namespace, key.Name)
	if !ok || have.Labels[managedLabel] != managedBy {
		return nil
	}
	err := r.endpoints.Delete(ctx, key.Namespace, key.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(have.UID))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// write creates or updates the object where it differs.
func (r *Controller) write(ctx context.Context, key reconcile.Key, want *corev1.Endpoints) error {
	have, ok := r.epInf.Get(key.Namespace, key.Name)
	if !ok {
		_, err := r.endpoints.Create(ctx, want)
		return err
	}
	_, over := want.Annotations[corev1.EndpointsOverCapacity]
	_, wasOver := have.Annotations[corev1.EndpointsOverCapacity]
	if over == wasOver && maps.Equal(have.Labels, want.Labels) && equality.Semantic.DeepEqual(have.Subsets, want.Subsets) {
		return nil
	}
	changed := have.DeepCopy()
	changed.Labels, changed.Subsets = want.Labels, want.Subsets
	delete(changed.Annotations, corev1.EndpointsOverCapacity)
	if over {
		if changed.Annotations == nil {
			changed.Annotations = map[string]string{}
		}
		changed.Annotations[corev1.EndpointsOverCapacity] = want.Annotations[corev1.EndpointsOverCapacity]
	}
	_, err := r.endpoints.Update(ctx, changed)
	return err
}
