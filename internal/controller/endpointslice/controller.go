// Package endpointslice keeps the EndpointSlices of every Service with a
// selector: which addresses serve it on which ports, which are ready, and
// which are about to go.
//
// It writes the slices labelled as managed by it, and nobody else writes
// those. A pod's deletion shows here with the pod's deletionTimestamp, before
// the pod is told to stop.
package endpointslice

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/batch"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/controller/internal/selection"
	"github.com/knarr-io/knarr/internal/reconcile"
)

const byService = "service"

// Controller runs the loop. Make it with New.
type Controller struct {
	slices   client.Typed[*discoveryv1.EndpointSlice]
	svcInf   *client.Informer[*corev1.Service]
	podInf   *client.Informer[*corev1.Pod]
	nodeInf  *client.Informer[*corev1.Node]
	sliceInf *client.Informer[*discoveryv1.EndpointSlice]
	events   *record.Recorder
	selected *selection.Map
	expects  *expect.Tracker[*discoveryv1.EndpointSlice]
	loop     *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		slices: client.For[*discoveryv1.EndpointSlice](c),
		svcInf: client.InformerFor[*corev1.Service](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		nodeInf: client.InformerFor[*corev1.Node](inf), sliceInf: client.InformerFor[*discoveryv1.EndpointSlice](inf),
		events: events, selected: selection.New(),
	}
	r.expects = expect.New(r.sliceInf)
	r.loop = reconcile.New("endpointslice", r.reconcile, opts)
	r.sliceInf.AddIndex(byService, func(s *discoveryv1.EndpointSlice) []string {
		if s.Labels[discoveryv1.LabelManagedBy] != managedBy {
			return nil
		}
		return []string{s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}
	})
	pods.IndexByNode(r.podInf)
	r.svcInf.OnChange(r.serviceChanged)
	r.podInf.OnChange(r.podChanged)
	r.sliceInf.OnChange(r.sliceChanged)
	r.nodeInf.OnChange(r.nodeChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.svcInf, r.podInf, r.sliceInf, r.nodeInf)
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

func (r *Controller) podChanged(old, new *corev1.Pod) {
	if !selection.Relevant(old, new) {
		return
	}
	for _, key := range r.selected.SetPod(old, new) {
		r.loop.Enqueue(key)
	}
}

// sliceChanged puts right what somebody else did to a slice, and wakes a
// Service that waits to see its own writes.
func (r *Controller) sliceChanged(old, new *discoveryv1.EndpointSlice) {
	for _, s := range []*discoveryv1.EndpointSlice{old, new} {
		if s != nil && s.Labels[discoveryv1.LabelManagedBy] == managedBy {
			r.loop.Enqueue(reconcile.Key{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]})
		}
	}
}

// nodeChanged brings a changed zone to the endpoints of the node's pods.
func (r *Controller) nodeChanged(old, new *corev1.Node) {
	if old == nil || new == nil || old.Labels[corev1.LabelTopologyZone] == new.Labels[corev1.LabelTopologyZone] {
		return
	}
	for _, pod := range r.podInf.ByIndex(pods.ByNode, new.Name) {
		for _, key := range r.selected.SetPod(pod, pod) {
			r.loop.Enqueue(key)
		}
	}
}

func (r *Controller) zone(node string) string {
	n, ok := r.nodeInf.Get("", node)
	if !ok {
		return ""
	}
	return n.Labels[corev1.LabelTopologyZone]
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	svc, ok := r.svcInf.Get(key.Namespace, key.Name)
	if !ok {
		r.expects.Forget(key)
		return reconcile.Result{}, nil // garbage collection takes the slices
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName || len(svc.Spec.Selector) == 0 || svc.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if !r.expects.Settled(key) {
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	list := r.selected.Pods(svc, r.podInf)
	p := reconcileSlices(svc, desired(svc, list, r.zone), r.sliceInf.ByIndex(byService, key.String()))
	if err := r.apply(ctx, key, p); err != nil {
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return reconcile.Result{}, nil
		}
		r.events.Eventf(svc, corev1.EventTypeWarning, "FailedToUpdateEndpointSlices",
			"Error updating Endpoint Slices for Service %s/%s: %v", svc.Namespace, svc.Name, err)
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, nil
}

func (r *Controller) apply(ctx context.Context, key reconcile.Key, p plan) error {
	err := batch.All(len(p.create), func(i int) error {
		out, err := r.slices.Create(ctx, p.create[i])
		if err == nil {
			r.expects.Created(key, out)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = batch.All(len(p.update), func(i int) error {
		out, err := r.slices.Update(ctx, p.update[i])
		if err == nil {
			r.expects.Created(key, out)
		}
		return err
	})
	if err != nil {
		return err
	}
	return batch.All(len(p.remove), func(i int) error {
		s := p.remove[i]
		r.expects.Deleting(key, s)
		err := r.slices.Delete(ctx, s.Namespace, s.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))})
		if err != nil {
			r.expects.Failed(key, s)
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}
