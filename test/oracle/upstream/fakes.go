package upstream

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
)

// allow is an authorizer that permits everything: who may do what is no part
// of validation.
type allow struct{}

func (allow) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionAllow, "", nil
}

// namespaces answers that every namespace lets its users into devices as
// administrators; nothing else is asked of it.
type namespaces struct {
	clientcorev1.NamespaceInterface
}

func (namespaces) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Namespace, error) {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{"resource.kubernetes.io/admin-access": "true"},
	}}, nil
}

// validatingPolicies and mutatingPolicies know no policy.
type (
	validatingPolicies struct{}
	mutatingPolicies   struct{}
)

func (validatingPolicies) GetValidatingAdmissionPolicy(_ context.Context, name string) (*admissionregistration.ValidatingAdmissionPolicy, error) {
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "validatingadmissionpolicies"}, name)
}

func (mutatingPolicies) GetMutatingAdmissionPolicy(_ context.Context, name string) (*admissionregistration.MutatingAdmissionPolicy, error) {
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "mutatingadmissionpolicies"}, name)
}

// resources finds the resource of every kind by the usual plural.
type resources struct{}

func (resources) Resolve(gvk schema.GroupVersionKind) (schema.GroupVersionResource, error) {
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	return plural, nil
}
