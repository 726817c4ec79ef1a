// Package podwrite is how controllers create and delete pods of a template:
// each write is told to the tracker of expectations and reported as an event
// of the owner, in the words that upstream's users know.
//
// It holds no state of its own; Writer is safe for concurrent use.
package podwrite

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

// Writer writes pods for the objects of one controller.
type Writer struct {
	Pods    client.Typed[*corev1.Pod]
	Events  *record.Recorder
	Expects *expect.Tracker[*corev1.Pod]
}

// Create makes a pod of the owner. Where the namespace is going away the
// error (see Pointless) is not reported: nothing can be done about it.
func (w Writer) Create(ctx context.Context, owner api.Object, pod *corev1.Pod) error {
	made, err := w.Pods.Create(ctx, pod)
	if err != nil {
		if !Pointless(err) {
			w.Events.Eventf(owner, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		}
		return err
	}
	w.Expects.Created(own.KeyOf(owner), made)
	w.Events.Eventf(owner, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", made.Name)
	return nil
}

// Delete asks for the deletion of exactly this pod; one that is gone is as
// good.
func (w Writer) Delete(ctx context.Context, owner api.Object, pod *corev1.Pod) error {
	key := own.KeyOf(owner)
	w.Expects.Deleting(key, pod)
	err := w.Pods.Delete(ctx, pod.Namespace, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		if w.untouched(ctx, pod) {
			w.Expects.Failed(key, pod)
		}
		w.Events.Eventf(owner, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		return err
	}
	w.Events.Eventf(owner, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", pod.Name)
	return nil
}

// untouched asks whether a pod is as it was, though its deletion was asked for:
// the answer to one that was carried out may have been lost, and whoever took
// the pod for alive would delete another in its place. Where nobody can be asked
// it counts as untouched.
func (w Writer) untouched(ctx context.Context, pod *corev1.Pod) bool {
	now, err := w.Pods.Get(ctx, pod.Namespace, pod.Name)
	if err != nil {
		return !apierrors.IsNotFound(err)
	}
	return now.UID == pod.UID && now.DeletionTimestamp == nil
}

// Pointless tells whether a creation failed because its namespace goes away.
func Pointless(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// New is a pod of the owner's template, to be named by the server after the
// owner.
func New(owner metav1.Object, gvk schema.GroupVersionKind, t *corev1.PodTemplateSpec) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.GetNamespace(), GenerateName: Prefix(owner.GetName()),
			Labels: maps.Clone(t.Labels), Annotations: maps.Clone(t.Annotations), Finalizers: slices.Clone(t.Finalizers),
			OwnerReferences: []metav1.OwnerReference{own.Ref(owner, gvk)},
		},
		Spec: *t.Spec.DeepCopy(),
	}
}

// Prefix of the names of an owner's pods: its name and a dash, where that is
// valid.
func Prefix(name string) string {
	if with := name + "-"; len(validation.NameIsDNSSubdomain(with, true)) == 0 {
		return with
	}
	return name
}
