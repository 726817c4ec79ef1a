package policy

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	kadmission "k8s.io/apiserver/pkg/admission"
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/knarr-io/knarr/internal/api"
)

// mutator is a compiled mutating policy. It is immutable.
type mutator struct {
	policy     *admissionregistrationv1.MutatingAdmissionPolicy
	programs   *programs
	conditions matchconditions.Matcher
	mutations  []mutation
	broken     error
}

// mutation is one step of a policy.
type mutation struct {
	patch.Patcher
	// strict mutations may not write fields that the kind does not have.
	strict bool
}

func compileMutator(p *admissionregistrationv1.MutatingAdmissionPolicy) *mutator {
	m := &mutator{policy: p}
	if m.programs, m.broken = newPrograms(p.Spec.ParamKind != nil, p.Spec.Variables); m.broken != nil {
		return m
	}
	m.conditions = m.programs.conditions(p.Spec.MatchConditions, p.Spec.FailurePolicy, p.Name)
	declared := m.programs.declared
	declared.HasPatchTypes = true
	compile := func(e kcel.ExpressionAccessor) kcel.MutatingEvaluator {
		return m.programs.CompileMutatingEvaluator(e, declared, environment.StoredExpressions)
	}
	for _, step := range p.Spec.Mutations {
		switch {
		case step.PatchType == admissionregistrationv1.PatchTypeJSONPatch && step.JSONPatch != nil:
			e := &patch.JSONPatchCondition{Expression: step.JSONPatch.Expression}
			m.mutations = append(m.mutations, mutation{patch.NewJSONPatcher(compile(e)), true})
		case step.PatchType == admissionregistrationv1.PatchTypeApplyConfiguration && step.ApplyConfiguration != nil:
			e := &patch.ApplyConfigurationCondition{Expression: step.ApplyConfiguration.Expression}
			m.mutations = append(m.mutations, mutation{patch.NewApplyConfigurationPatcher(compile(e)), false})
		}
	}
	return m
}

func (m *mutator) ignores() bool { return ignores(m.policy.Spec.FailurePolicy) }

// again tells whether the policy wants to see what later ones changed.
func (m *mutator) again() bool {
	return m.policy.Spec.ReinvocationPolicy == admissionregistrationv1.IfNeededReinvocationPolicy
}

// patched gives the object as one mutation wants it.
func (p *Policies) patched(ctx context.Context, step mutation, in *input, k *api.Kind) (map[string]any, error) {
	types, err := p.typesOf(in.versioned.VersionedKind)
	if err != nil {
		return nil, err
	}
	out, err := step.Patch(ctx, patch.Request{
		MatchedResource: k.GVR(), VersionedAttributes: in.versioned, ObjectInterfaces: unstructuredObjects{},
		OptionalVariables: in.bindings(true), Namespace: in.namespace, TypeConverter: types,
	}, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return nil, err
	}
	content, isUnstructured := out.(*unstructured.Unstructured)
	if !isUnstructured {
		return nil, fmt.Errorf("a mutation gave a %T", out)
	}
	return content.Object, nil
}

// typesOf merge objects of a kind, built-in or custom.
func (p *Policies) typesOf(kind schema.GroupVersionKind) (managedfields.TypeConverter, error) {
	if k := p.kinds.Kind(kind); k != nil && k.Custom != nil {
		return k.Custom.Types()
	}
	return p.types.TypeConverter(kind.GroupVersion())
}

// unstructuredObjects tell the patch library that objects are plain maps.
type unstructuredObjects struct{}

var _ kadmission.ObjectInterfaces = unstructuredObjects{}

func (unstructuredObjects) GetObjectCreater() runtime.ObjectCreater {
	return unstructuredscheme.NewUnstructuredCreator()
}

func (unstructuredObjects) GetObjectTyper() runtime.ObjectTyper {
	return unstructuredscheme.NewUnstructuredObjectTyper()
}

func (unstructuredObjects) GetObjectDefaulter() runtime.ObjectDefaulter {
	return unstructuredscheme.NewUnstructuredDefaulter()
}

func (unstructuredObjects) GetObjectConvertor() runtime.ObjectConvertor { return nil }

func (unstructuredObjects) GetEquivalentResourceMapper() runtime.EquivalentResourceMapper { return nil }
