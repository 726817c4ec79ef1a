package permit

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// paramKind lets only those choose a kind of parameters who may read all of
// its objects: the policy shows what they hold.
func (p checks) paramKind(ctx context.Context, c verb.Checked, found field.ErrorList) field.ErrorList {
	kind := paramKindOf(c.Object)
	if len(found) > 0 || kind == nil || privileged(c.User) || c.Subresource != "" {
		return found
	}
	if old := paramKindOf(c.Old); old != nil && *old == *kind {
		return found
	}
	a := p.params(kind)
	a.User, a.Name, a.Namespace = c.User, "*", "*"
	refused := fmt.Sprintf(`user %v must have "get" permission on all objects of the referenced paramKind (kind=%s, apiVersion=%s)`, c.User, kind.Kind, kind.APIVersion)
	return append(found, p.readable(ctx, a, field.NewPath("spec", "paramKind"), refused)...)
}

// paramRef lets only those bind parameters who may read them, at every write
// of the binding, as upstream does.
func (p checks) paramRef(ctx context.Context, c verb.Checked, found field.ErrorList) field.ErrorList {
	name, ref := bound(c.Object)
	if len(found) > 0 || ref == nil || privileged(c.User) {
		return found
	}
	action := "get"
	if ref.Name == "" {
		action = "list"
	}
	policy := p.policy(c.Object, name)
	a := p.params(paramKindOf(policy))
	a.User, a.Verb, a.Name, a.Namespace = c.User, action, ref.Name, ref.Namespace
	refused := fmt.Sprintf(`user %v does not have "%v" permission on the object referenced by paramRef`, c.User, action)
	if why := unresolved(name, policy, a); why != "" {
		refused = fmt.Sprintf(`unable to %s to determine minimum required permissions and user %v does not have "%v" permission for all groups, versions and resources`, why, c.User, action)
	}
	return append(found, p.readable(ctx, a, field.NewPath("spec", "paramRef"), refused)...)
}

// unresolved tells why it is not known which resource a binding's parameters
// are of; empty where it is known.
func unresolved(name string, policy api.Object, a authorizer.AttributesRecord) string {
	kind := paramKindOf(policy)
	switch {
	case policy == nil:
		return "get policy " + name
	case kind == nil || a.Resource != "*":
		return ""
	case a.APIVersion == "*":
		return fmt.Sprintf("parse paramKind %v", kind)
	}
	return fmt.Sprintf("resolve paramKind %v", kind)
}

// readable asks whether somebody may read what a names.
func (p checks) readable(ctx context.Context, a authorizer.AttributesRecord, at *field.Path, refused string) field.ErrorList {
	decision, _, err := p.Authorizer.Authorize(ctx, a)
	switch {
	case err != nil:
		return field.ErrorList{field.Forbidden(at, err.Error())}
	case decision != authorizer.DecisionAllow:
		return field.ErrorList{field.Forbidden(at, refused)}
	}
	return nil
}

// params is the right to read objects of a kind; where it is not known, the
// right to read everything.
func (p checks) params(kind *admissionregistrationv1.ParamKind) authorizer.AttributesRecord {
	a := authorizer.AttributesRecord{Verb: "get", ResourceRequest: true, APIGroup: "*", APIVersion: "*", Resource: "*"}
	if kind == nil {
		return a
	}
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return a
	}
	a.APIGroup, a.APIVersion = gv.Group, gv.Version
	if k := p.Kinds.Kind(gv.WithKind(kind.Kind)); k != nil {
		a.Resource = k.Resource
	}
	return a
}

func paramKindOf(obj api.Object) *admissionregistrationv1.ParamKind {
	switch o := obj.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return o.Spec.ParamKind
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return o.Spec.ParamKind
	}
	return nil
}

// bound is what a binding binds: a policy's name, and parameters.
func bound(obj api.Object) (policy string, ref *admissionregistrationv1.ParamRef) {
	switch o := obj.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return o.Spec.PolicyName, o.Spec.ParamRef
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return o.Spec.PolicyName, o.Spec.ParamRef
	}
	return "", nil
}

// policy is the one that a binding names; nil where there is none.
func (p checks) policy(binding api.Object, name string) api.Object {
	if _, isValidating := binding.(*admissionregistrationv1.ValidatingAdmissionPolicyBinding); isValidating {
		return p.stored(&admissionregistrationv1.ValidatingAdmissionPolicy{}, "", name)
	}
	return p.stored(&admissionregistrationv1.MutatingAdmissionPolicy{}, "", name)
}
