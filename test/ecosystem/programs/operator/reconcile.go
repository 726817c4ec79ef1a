package main

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// reconciler keeps a Deployment of each convoy's ships.
type reconciler struct {
	client.Client
	// image is what the ships run.
	image string
}

// Reconcile brings one convoy's Deployment and status up to date.
func (r reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var c Convoy
	if err := r.Get(ctx, request.NamespacedName, &c); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	ships := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: c.Name, Namespace: c.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, ships, func() error {
		labels := map[string]string{"convoy": c.Name}
		ships.Spec.Replicas = &c.Spec.Ships
		ships.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		ships.Spec.Template.Labels = labels
		ships.Spec.Template.Spec.Containers = []corev1.Container{{Name: "ship", Image: r.image, Args: []string{"sail"}, Env: []corev1.EnvVar{{Name: "FLAG", Value: c.Spec.Flag}}}}
		return controllerutil.SetControllerReference(&c, ships, r.Scheme())
	})
	if err != nil || c.Status.Afloat == ships.Status.ReadyReplicas {
		return ctrl.Result{}, err
	}
	was := c.DeepCopyObject().(*Convoy)
	c.Status.Afloat = ships.Status.ReadyReplicas
	return ctrl.Result{}, client.IgnoreNotFound(r.Status().Patch(ctx, &c, client.MergeFrom(was)))
}
