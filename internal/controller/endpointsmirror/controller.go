// Package endpointsmirror copies Endpoints that people made by hand, of
// Services without a selector, into EndpointSlices, so that those who read
// only slices find them (KEP-752).
//
// It writes the slices labelled as managed by it, and nobody else writes
// those. Whose Endpoints are not to be mirrored any more loses its slices.
package endpointsmirror

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/reconcile"
)

const byEndpoints = "mirrored-endpoints"

// Controller runs the loop. Make it with New.
type Controller struct {
	slices   client.Typed[*discoveryv1.EndpointSlice]
	svcInf   *client.Informer[*corev1.Service]
	epInf    *client.Informer[*corev1.Endpoints]
	sliceInf *client.Informer[*discoveryv1.EndpointSlice]
	events   *record.Recorder
	expects  *expect.Tracker[*discoveryv1.EndpointSlice]
	loop     *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		slices: client.For[*discoveryv1.EndpointSlice](c),
		svcInf: client.InformerFor[*corev1.Service](inf), epInf: client.InformerFor[*corev1.Endpoints](inf),
		sliceInf: client.InformerFor[*discoveryv1.EndpointSlice](inf), events: events,
	}
	r.expects = expect.New(r.sliceInf)
	r.loop = reconcile.New("endpointslicemirroring", r.reconcile, opts)
	r.sliceInf.AddIndex(byEndpoints, func(s *discoveryv1.EndpointSlice) []string {
		if !mirrored(s) {
			return nil
		}
		return []string{s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}
	})
	r.svcInf.OnChange(r.serviceChanged)
	r.epInf.OnChange(r.endpointsChanged)
	r.sliceInf.OnChange(r.sliceChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.svcInf, r.epInf, r.sliceInf)
}

// serviceChanged wakes where the Service came, went, or gained or lost its
// selector: nothing else of it is mirrored.
func (r *Controller) serviceChanged(old, new *corev1.Service) {
	if old != nil && new != nil && (old.Spec.Selector == nil) == (new.Spec.Selector == nil) {
		return
	}
	svc := new
	if svc == nil {
		svc = old
	}
	r.loop.Enqueue(reconcile.Key{Namespace: svc.Namespace, Name: svc.Name})
}

func (r *Controller) endpointsChanged(old, new *corev1.Endpoints) {
	for _, ep := range []*corev1.Endpoints{old, new} {
		if ep != nil && wanted(ep) {
			r.loop.Enqueue(reconcile.Key{Namespace: ep.Namespace, Name: ep.Name})
			return
		}
	}
}

// sliceChanged puts right what somebody else did to a slice, and wakes
// Endpoints that wait to see their own writes.
func (r *Controller) sliceChanged(old, new *discoveryv1.EndpointSlice) {
	for _, s := range []*discoveryv1.EndpointSlice{old, new} {
		if s != nil && mirrored(s) {
			r.loop.Enqueue(reconcile.Key{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]})
		}
	}
}

func mirrored(s *discoveryv1.EndpointSlice) bool {
	return s.Labels[discoveryv1.LabelManagedBy] == managedBy
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	if !r.expects.Settled(key) {
		return reconcile.Result{RequeueAfter: r.expects.Patience()}, nil
	}
	existing := r.sliceInf.ByIndex(byEndpoints, key.String())
	ep, found := r.epInf.Get(key.Namespace, key.Name)
	svc, served := r.svcInf.Get(key.Namespace, key.Name)
	if !found || !wanted(ep) || !served || svc.Spec.Selector != nil {
		err := r.apply(ctx, key, plan{remove: existing})
		if len(existing) == 0 {
			r.expects.Forget(key)
		}
		return reconcile.Result{}, err
	}
	want := desired(ep)
	r.tell(ep, want)
	err := r.apply(ctx, key, planFor(ep, want, existing))
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		r.events.Eventf(ep, corev1.EventTypeWarning, "FailedToUpdateEndpointSlices",
			"Error updating EndpointSlices for Endpoints %s/%s: %v", ep.Namespace, ep.Name, err)
	}
	return reconcile.Result{}, err
}

// tell says what was left out.
func (r *Controller) tell(ep *corev1.Endpoints, want wish) {
	if want.invalid > 0 {
		r.events.Eventf(ep, corev1.EventTypeWarning, "InvalidIPAddress",
			"Skipped %d invalid IP addresses when mirroring to EndpointSlices", want.invalid)
	}
	if want.skipped > want.invalid {
		r.events.Eventf(ep, corev1.EventTypeWarning, "TooManyAddressesToMirror",
			"A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %d addresses were skipped", mostAddresses, want.skipped)
	}
}

// apply writes all it can: one slice that cannot be written does not hold up
// the others.
func (r *Controller) apply(ctx context.Context, key reconcile.Key, p plan) error {
	var errs []error
	for _, s := range p.create {
		out, err := r.slices.Create(ctx, s)
		if err == nil {
			r.expects.Created(key, out)
		}
		errs = append(errs, err)
	}
	for _, s := range p.update {
		out, err := r.slices.Update(ctx, s)
		if err == nil {
			r.expects.Created(key, out)
		}
		errs = append(errs, err)
	}
	for _, s := range p.remove {
		errs = append(errs, r.remove(ctx, key, s))
	}
	return errors.Join(errs...)
}

func (r *Controller) remove(ctx context.Context, key reconcile.Key, s *discoveryv1.EndpointSlice) error {
	r.expects.Deleting(key, s)
	err := r.slices.Delete(ctx, s.Namespace, s.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))})
	if err != nil {
		r.expects.Failed(key, s)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
