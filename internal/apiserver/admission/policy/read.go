package policy

import (
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/knarr-io/knarr/internal/apiserver/admission/match"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func readValidating(policies, bindings cache.Snapshot) []active[*validator] {
	bound := map[string][]binding{}
	bindings.Ascend("", "", "", func(item *cache.Item) bool {
		b := item.Object.(*admissionregistrationv1.ValidatingAdmissionPolicyBinding)
		bound[b.Spec.PolicyName] = append(bound[b.Spec.PolicyName],
			binding{name: b.Name, criteria: bindingCriteria(b.Spec.MatchResources), params: b.Spec.ParamRef, actions: b.Spec.ValidationActions})
		return true
	})
	var out []active[*validator]
	policies.Ascend("", "", "", func(item *cache.Item) bool {
		p := item.Object.(*admissionregistrationv1.ValidatingAdmissionPolicy)
		if len(bound[p.Name]) > 0 {
			out = append(out, active[*validator]{policy: item, name: p.Name, criteria: match.OfPolicy(p.Spec.MatchConstraints), params: p.Spec.ParamKind,
				bindings: bound[p.Name], compiled: sync.OnceValue(func() *validator { return compileValidator(p) })})
		}
		return true
	})
	return out
}

func readMutating(policies, bindings cache.Snapshot) []active[*mutator] {
	bound := map[string][]binding{}
	bindings.Ascend("", "", "", func(item *cache.Item) bool {
		b := item.Object.(*admissionregistrationv1.MutatingAdmissionPolicyBinding)
		bound[b.Spec.PolicyName] = append(bound[b.Spec.PolicyName],
			binding{name: b.Name, criteria: bindingCriteria(b.Spec.MatchResources), params: b.Spec.ParamRef})
		return true
	})
	var out []active[*mutator]
	policies.Ascend("", "", "", func(item *cache.Item) bool {
		p := item.Object.(*admissionregistrationv1.MutatingAdmissionPolicy)
		if len(bound[p.Name]) > 0 {
			out = append(out, active[*mutator]{policy: item, name: p.Name, criteria: match.OfPolicy(p.Spec.MatchConstraints), params: p.Spec.ParamKind,
				bindings: bound[p.Name], compiled: sync.OnceValue(func() *mutator { return compileMutator(p) })})
		}
		return true
	})
	return out
}

// bindingCriteria narrow a policy; nil: the binding is about all of it.
func bindingCriteria(m *admissionregistrationv1.MatchResources) *match.Criteria {
	if m == nil {
		return nil
	}
	return match.OfPolicy(m)
}
