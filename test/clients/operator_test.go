package clients

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// unloaded keeps a voyage until its manifest was taken off.
const unloaded = "clients.knarr.io/unloaded"

// reconciler keeps a ConfigMap of each voyage's cargo.
type reconciler struct{ client.Client }

// Reconcile brings one voyage's manifest and status up to date.
func (r reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var v Voyage
	if err := r.Get(ctx, request.NamespacedName, &v); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	manifest := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: v.Name + "-manifest", Namespace: v.Namespace}}
	if !v.DeletionTimestamp.IsZero() {
		if err := r.Delete(ctx, manifest); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, err
		}
		if controllerutil.RemoveFinalizer(&v, unloaded) {
			return ctrl.Result{}, client.IgnoreNotFound(r.Update(ctx, &v))
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(&v, unloaded) {
		return ctrl.Result{}, r.Update(ctx, &v) // which brings the voyage here again
	}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, manifest, func() error {
		manifest.Data = map[string]string{"harbour": v.Spec.Harbour, "cargo": strings.Join(v.Spec.Cargo, ",")}
		return controllerutil.SetControllerReference(&v, manifest, r.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	was := v.DeepCopyObject().(*Voyage)
	v.Status.Loaded = len(v.Spec.Cargo)
	meta.SetStatusCondition(&v.Status.Conditions, metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Loaded", ObservedGeneration: v.Generation})
	return ctrl.Result{}, r.Status().Patch(ctx, &v, client.MergeFrom(was))
}

// rules are the operator's webhooks.
type rules struct{}

// Default gives a voyage a harbour.
func (rules) Default(_ context.Context, v *Voyage) error {
	if v.Spec.Harbour == "" {
		v.Spec.Harbour = "bergen"
	}
	return nil
}

// ValidateCreate refuses a harbour on the ground of the sea, and warns of an
// empty ship.
func (rules) ValidateCreate(_ context.Context, v *Voyage) (admission.Warnings, error) {
	if v.Spec.Harbour == "atlantis" {
		return nil, errors.New("atlantis has sunk")
	}
	if len(v.Spec.Cargo) == 0 {
		return admission.Warnings{"the ship sails empty"}, nil
	}
	return nil, nil
}

// ValidateUpdate lets no ship change its harbour.
func (rules) ValidateUpdate(_ context.Context, old, v *Voyage) (admission.Warnings, error) {
	if old.Spec.Harbour != v.Spec.Harbour {
		return nil, fmt.Errorf("%s has sailed to %s", v.Name, old.Spec.Harbour)
	}
	return nil, nil
}

// ValidateDelete keeps what is anchored.
func (rules) ValidateDelete(_ context.Context, v *Voyage) (admission.Warnings, error) {
	if v.Labels["anchored"] == "yes" {
		return nil, errors.New("the anchor is down")
	}
	return nil, nil
}
