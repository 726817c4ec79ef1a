// Package certificates brings requests for certificates to their end: it
// approves those of node agents, signs what is approved for the four built-in
// signers and for Knarr's own, and deletes requests that have had their time.
//
// It writes conditions, certificates and deletions of requests; signing keys
// stay with the authority that it is given. It keeps no state beside its
// queue. What is done with a request is decided by pure functions (rules.go,
// clean.go, template.go), for machines that join by what the Nodes say
// (nodes.go), and for the edge by what the Ingresses say (ingress.go).
package certificates

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	certificatesapi "github.com/knarr-io/knarr/internal/api/certificates"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

type signingRequest = *certificatesv1.CertificateSigningRequest

// Controller runs the loop. Make it with New.
type Controller struct {
	requests client.Typed[signingRequest]
	reviews  client.Typed[*authorizationv1.SubjectAccessReview]
	inf      *client.Informer[signingRequest]
	nodes    *client.Informer[*corev1.Node]
	// ingresses name the hosts that the edge may serve.
	ingresses *client.Informer[*networkingv1.Ingress]
	ca        *pki.CA
	reserved  []string
	loop      *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers. Without an authority nothing is
// signed. reserved are names and addresses that neither a node nor an Ingress
// may serve under.
func New(c *client.Client, inf *client.Informers, ca *pki.CA, reserved []string, opts reconcile.Options) *Controller {
	r := &Controller{
		requests: client.For[signingRequest](c), reviews: client.For[*authorizationv1.SubjectAccessReview](c),
		inf: client.InformerFor[signingRequest](inf), nodes: client.InformerFor[*corev1.Node](inf),
		ingresses: client.InformerFor[*networkingv1.Ingress](inf), ca: ca, reserved: reserved,
	}
	r.loop = reconcile.New("certificatesigningrequest", r.reconcile, opts)
	r.inf.OnChange(func(_, new signingRequest) {
		if new != nil {
			r.enqueue(new)
		}
	})
	r.nodes.OnChange(r.retry)
	return r
}

func (r *Controller) enqueue(req signingRequest) { r.loop.Enqueue(reconcile.Key{Name: req.Name}) }

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.inf, r.nodes, r.ingresses)
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	req, ok := r.inf.Get("", key.Name)
	if !ok || req.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if left := time.Until(end(req)); left > 0 {
		return reconcile.Result{RequeueAfter: left}, r.advance(ctx, req)
	}
	err := r.requests.Delete(ctx, "", req.Name, metav1.DeleteOptions{
		// A request that changed may have been given more time.
		Preconditions: &metav1.Preconditions{UID: &req.UID, ResourceVersion: &req.ResourceVersion},
	})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return reconcile.Result{}, err
}

// advance takes the request's next step; its event brings the one after.
func (r *Controller) advance(ctx context.Context, req signingRequest) error {
	denied, failed := has(req, certificatesv1.CertificateDenied), has(req, certificatesv1.CertificateFailed)
	switch {
	case len(req.Status.Certificate) > 0 || denied:
		return nil
	case !has(req, certificatesv1.CertificateApproved):
		return r.approve(ctx, req)
	case failed || r.ca == nil:
		return nil
	}
	return r.sign(ctx, req)
}

// approve asks, for each way in which the request is known, whether its
// author may have that approved.
func (r *Controller) approve(ctx context.Context, req signingRequest) error {
	parsed, err := certificatesapi.ParseRequest(req.Spec.Request)
	if err != nil {
		return fmt.Errorf("certificate request %s: %w", req.Name, err)
	}
	if done, err := r.decide(ctx, req, parsed); done || err != nil {
		return err
	}
	known := recognize(req, parsed)
	for _, way := range known {
		review, err := r.reviews.Create(ctx, way.review(req))
		if err != nil {
			return fmt.Errorf("whether certificate request %s may be approved: %w", req.Name, err)
		}
		if review.Status.Allowed {
			changed := req.DeepCopy()
			addCondition(changed, certificatesv1.CertificateApproved, autoApproved, way.message)
			_, err = r.requests.UpdateSubresource(ctx, changed, "approval")
			return err
		}
	}
	if len(known) > 0 { // tried again: the right may be given later
		return fmt.Errorf("certificate request %s: user %q may not create certificatesigningrequests/%s; give the right or approve by hand",
			req.Name, req.Spec.Username, known[0].subresource)
	}
	return nil
}

func (r *Controller) sign(ctx context.Context, req signingRequest) error {
	check := ruleOf(req.Spec.SignerName)
	if check == nil {
		return nil // somebody else's
	}
	parsed, err := certificatesapi.ParseRequest(req.Spec.Request)
	if err != nil {
		return fmt.Errorf("certificate request %s: %w", req.Name, err)
	}
	changed := req.DeepCopy()
	if err := check(parsed, req.Spec.Usages); err != nil {
		addCondition(changed, certificatesv1.CertificateFailed, "SignerValidationFailure", err.Error())
		_, err = r.requests.UpdateStatus(ctx, changed)
		return err
	}
	template, err := templateOf(req, parsed, time.Now())
	if err != nil {
		return fmt.Errorf("certificate request %s: %w", req.Name, err)
	}
	cert, err := r.ca.SignTemplate(template, parsed.PublicKey)
	if err != nil {
		return fmt.Errorf("certificate request %s: %w", req.Name, err)
	}
	changed.Status.Certificate = encode(cert.Raw)
	_, err = r.requests.UpdateStatus(ctx, changed)
	return err
}

func has(req signingRequest, t certificatesv1.RequestConditionType) bool {
	for _, c := range req.Status.Conditions {
		if c.Type == t {
			return true
		}
	}
	return false
}

func addCondition(req signingRequest, t certificatesv1.RequestConditionType, reason, message string) {
	req.Status.Conditions = append(req.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: t, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastUpdateTime: metav1.Now(),
	})
}
