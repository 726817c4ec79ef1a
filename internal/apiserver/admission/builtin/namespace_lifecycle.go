package builtin

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// namespaceLifecycle lets new objects into existing namespaces only, and none
// into one that is being deleted. The system's namespaces stay.
func namespaceLifecycle(l lookup) admission.Plugin {
	return admission.Plugin{Name: "NamespaceLifecycle", Mutate: func(_ context.Context, a *admission.Attributes) error {
		if a.Operation == admission.Delete && a.Of("", "namespaces") {
			return keepSystemNamespaces(a)
		}
		if a.Operation != admission.Create || !a.Kind.Namespaced || a.Kind.GVK.Kind == "LocalSubjectAccessReview" {
			return nil
		}
		return inActiveNamespace(l, a)
	}}
}

// namespaceStillThere looks again before a new object is stored: while webhooks
// were asked its namespace may have been emptied, and what comes behind that
// would stay for ever. Upstream waits for a few seconds before it empties one.
func namespaceStillThere(l lookup) admission.Plugin {
	return admission.Plugin{Name: "NamespaceLifecycle", Validate: func(_ context.Context, a *admission.Attributes) error {
		if a.Operation != admission.Create || !a.Kind.Namespaced || a.Kind.Virtual || a.Subresource != "" {
			return nil
		}
		return inActiveNamespace(l, a)
	}}
}

func inActiveNamespace(l lookup, a *admission.Attributes) error {
	ns, found := get[*corev1.Namespace](l, "", "v1", "namespaces", "", a.Namespace)
	switch {
	case !found:
		return errors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, a.Namespace)
	case ns.Status.Phase == corev1.NamespaceTerminating || ns.DeletionTimestamp != nil:
		return terminating(a)
	}
	return nil
}

func keepSystemNamespaces(a *admission.Attributes) error {
	switch a.Name {
	case metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic:
		return errors.NewForbidden(a.Kind.GroupResource(), a.Name, fmt.Errorf("this namespace may not be deleted"))
	}
	return nil
}

func terminating(a *admission.Attributes) error {
	err := admission.Forbidden(a, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", a.Namespace))
	if status, ok := err.(*errors.StatusError); ok {
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", a.Namespace), Field: "metadata.namespace",
		})
	}
	return err
}
