package policy

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kadmission "k8s.io/apiserver/pkg/admission"
	caching "k8s.io/apiserver/pkg/admission/plugin/authorizer"
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// input is what expressions see of a write.
type input struct {
	ctx        context.Context // bounds the evaluation
	versioned  *kadmission.VersionedAttributes
	request    *admissionv1.AdmissionRequest
	namespace  *corev1.Namespace
	authorizer authorizer.Authorizer
	param      runtime.Object
}

// newInput prepares a write for a policy that sees it as kind k.
func (p *Policies) newInput(ctx context.Context, a *admission.Attributes, k *api.Kind, shapes *admission.Shapes) (*input, error) {
	versioned, err := shapes.Versioned(k)
	if err != nil {
		return nil, err
	}
	in := &input{ctx: ctx, versioned: versioned, authorizer: caching.NewCachingAuthorizer(p.authorizer),
		request: kcel.CreateAdmissionRequest(versioned.Attributes, metav1.GroupVersionResource(k.GVR()), metav1.GroupVersionKind(versioned.VersionedKind))}
	if a.Namespace != "" && !admission.IsNamespace(a.Kind) {
		ns, err := p.matcher.Namespace(a.Namespace)
		if err != nil {
			return nil, err
		}
		in.namespace = kcel.CreateNamespaceObject(ns)
	}
	return in, nil
}

func (in *input) bindings(authorized bool) kcel.OptionalVariableBindings {
	out := kcel.OptionalVariableBindings{VersionedParams: in.param}
	if authorized {
		out.Authorizer = in.authorizer
	}
	return out
}
