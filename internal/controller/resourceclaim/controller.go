package resourceclaim

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Indexes of pods, each by namespace/name.
const (
	byClaim    = "resourceclaim"
	byTemplate = "resourceclaimtemplate"
)

// Controller runs two loops, over pods and over claims. Make it with New.
type Controller struct {
	pods      client.Typed[*corev1.Pod]
	claims    client.Typed[*resourcev1.ResourceClaim]
	podInf    *client.Informer[*corev1.Pod]
	claimInf  *client.Informer[*resourcev1.ResourceClaim]
	templates *client.Informer[*resourcev1.ResourceClaimTemplate]
	events    *record.Recorder
	made      *expect.Tracker[*resourcev1.ResourceClaim]
	podLoop   *reconcile.Controller[reconcile.Key]
	claimLoop *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		pods: client.For[*corev1.Pod](c), claims: client.For[*resourcev1.ResourceClaim](c),
		podInf: client.InformerFor[*corev1.Pod](inf), claimInf: client.InformerFor[*resourcev1.ResourceClaim](inf),
		templates: client.InformerFor[*resourcev1.ResourceClaimTemplate](inf), events: events,
	}
	r.made = expect.New(r.claimInf)
	r.podLoop = reconcile.New("resourceclaim-pod", r.pod, opts)
	r.claimLoop = reconcile.New("resourceclaim", r.claim, opts)
	own.AddIndex(r.claimInf)
	r.podInf.AddIndex(byClaim, claimsOf)
	r.podInf.AddIndex(byTemplate, templatesOf)
	r.podInf.OnChange(r.podChanged)
	r.claimInf.OnChange(r.claimChanged)
	r.templates.OnChange(func(_, new *resourcev1.ResourceClaimTemplate) {
		if new != nil {
			r.wake(byTemplate, own.KeyOf(new))
		}
	})
	return r
}

// claimsOf are the claims that a pod uses.
func claimsOf(pod *corev1.Pod) []string {
	var out []string
	for i := range pod.Spec.ResourceClaims {
		if name, _, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i]); err == nil && name != nil {
			out = append(out, pod.Namespace+"/"+*name)
		}
	}
	return out
}

// templatesOf are the templates that a pod names.
func templatesOf(pod *corev1.Pod) []string {
	var out []string
	for _, entry := range pod.Spec.ResourceClaims {
		if entry.ResourceClaimTemplateName != nil {
			out = append(out, pod.Namespace+"/"+*entry.ResourceClaimTemplateName)
		}
	}
	return out
}

// wake enqueues the pods under an index.
func (r *Controller) wake(index string, key reconcile.Key) {
	for _, pod := range r.podInf.ByIndex(index, key.String()) {
		r.podLoop.Enqueue(own.KeyOf(pod))
	}
}

func (r *Controller) podChanged(old, new *corev1.Pod) {
	pod := new
	if pod == nil {
		pod = old
	}
	if len(pod.Spec.ResourceClaims) == 0 {
		return
	}
	r.podLoop.Enqueue(own.KeyOf(pod))
	if new != nil && !done(new) {
		return
	}
	for _, claim := range r.claimInf.ByIndex(own.Index, string(pod.UID)) {
		r.claimLoop.Enqueue(own.KeyOf(claim))
	}
	for i := range pod.Spec.ResourceClaims {
		if name, _, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i]); err == nil && name != nil {
			r.claimLoop.Enqueue(reconcile.Key{Namespace: pod.Namespace, Name: *name})
		}
	}
}

func (r *Controller) claimChanged(old, new *resourcev1.ResourceClaim) {
	claim := new
	if claim == nil {
		claim = old
	}
	if new != nil {
		r.claimLoop.Enqueue(own.KeyOf(new))
	}
	r.wake(byClaim, own.KeyOf(claim))
	if owner := metav1.GetControllerOfNoCopy(claim); owner != nil && owner.Kind == "Pod" {
		r.podLoop.Enqueue(reconcile.Key{Namespace: claim.Namespace, Name: owner.Name})
	}
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	if r.podInf.WaitSynced(ctx) != nil || r.claimInf.WaitSynced(ctx) != nil || r.templates.WaitSynced(ctx) != nil {
		return
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.claimLoop.Run(ctx)
	}()
	r.podLoop.Run(ctx)
	<-stopped
}

func (r *Controller) known() known {
	return known{
		claim: func(namespace, name string) *resourcev1.ResourceClaim {
			c, _ := r.claimInf.Get(namespace, name)
			return c
		},
		template: func(namespace, name string) *resourcev1.ResourceClaimTemplate {
			t, _ := r.templates.Get(namespace, name)
			return t
		},
		owned: func(pod *corev1.Pod) []*resourcev1.ResourceClaim {
			return r.claimInf.ByIndex(own.Index, string(pod.UID))
		},
	}
}

// wrap names the object of an error.
func wrap(err error, what string, key reconcile.Key) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, key, err)
}
