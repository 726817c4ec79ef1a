package admissionregistration

import (
	"time"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
)

type (
	validatingPolicy = *registration.ValidatingAdmissionPolicy
	mutatingPolicy   = *registration.MutatingAdmissionPolicy
)

// ValidatingAdmissionPolicy refuses requests by CEL expressions.
func ValidatingAdmissionPolicy() *api.Kind {
	return api.Spec[validatingPolicy]{
		Group: group, Version: version, Name: "ValidatingAdmissionPolicy",
		Resource: "validatingadmissionpolicies", Singular: "validatingadmissionpolicy", Categories: categories(),
		New:     func() validatingPolicy { return &registration.ValidatingAdmissionPolicy{} },
		NewList: func() runtime.Object { return &registration.ValidatingAdmissionPolicyList{} },
		Main: api.RulesOf[validatingPolicy]{
			Meta: api.MetaLoose, MetaAsNew: true,
			Default:       defaultValidatingPolicy,
			PrepareCreate: func(p validatingPolicy) { p.Status = registration.ValidatingAdmissionPolicyStatus{} },
			PrepareUpdate: func(p, old validatingPolicy) { p.Status = old.Status },
			Validate: func(p validatingPolicy) field.ErrorList {
				return validateValidatingPolicy(p, nil)
			},
			ValidateUpdate: validateValidatingPolicy,
			Generation:     func(p, old validatingPolicy) bool { return !equality.Semantic.DeepEqual(p.Spec, old.Spec) },
		},
		Status: &api.RulesOf[validatingPolicy]{
			Default:        defaultValidatingPolicy,
			PrepareUpdate:  func(p, old validatingPolicy) { p.Spec = old.Spec },
			ValidateUpdate: func(p, _ validatingPolicy) field.ErrorList { return validatePolicyStatus(&p.Status) },
		},
		Columns: policyColumns("Validations", "Validations indicates the number of validation rules defined in this configuration"),
		Row: func(p validatingPolicy, now time.Time) []any {
			return []any{p.Name, int64(len(p.Spec.Validations)), paramKindCell(p.Spec.ParamKind), column.Since(p.CreationTimestamp, now)}
		},
	}.Kind()
}

// MutatingAdmissionPolicy changes objects by CEL expressions.
func MutatingAdmissionPolicy() *api.Kind {
	return api.Spec[mutatingPolicy]{
		Group: group, Version: version, Name: "MutatingAdmissionPolicy",
		Resource: "mutatingadmissionpolicies", Singular: "mutatingadmissionpolicy", Categories: categories(),
		New:     func() mutatingPolicy { return &registration.MutatingAdmissionPolicy{} },
		NewList: func() runtime.Object { return &registration.MutatingAdmissionPolicyList{} },
		Main: api.RulesOf[mutatingPolicy]{
			Meta: api.MetaLoose, MetaAsNew: true,
			Default: func(p mutatingPolicy) {
				optional.Default(&p.Spec.FailurePolicy, registration.Fail)
				defaultMatch(p.Spec.MatchConstraints)
			},
			Validate:       func(p mutatingPolicy) field.ErrorList { return validateMutatingPolicy(p, nil) },
			ValidateUpdate: validateMutatingPolicy,
			Generation:     func(p, old mutatingPolicy) bool { return !equality.Semantic.DeepEqual(p.Spec, old.Spec) },
		},
		Columns: policyColumns("Mutations", "Mutation indicates the number of mutations rules defined in this configuration"),
		Row: func(p mutatingPolicy, now time.Time) []any {
			return []any{p.Name, int64(len(p.Spec.Mutations)), paramKindCell(p.Spec.ParamKind), column.Since(p.CreationTimestamp, now)}
		},
	}.Kind()
}

func defaultValidatingPolicy(p validatingPolicy) {
	optional.Default(&p.Spec.FailurePolicy, registration.Fail)
	defaultMatch(p.Spec.MatchConstraints)
}

func policyColumns(what, description string) []api.Column {
	return []api.Column{
		column.Name(),
		column.Number(what, description),
		column.Text("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy"),
		column.Age(),
	}
}

func paramKindCell(k *registration.ParamKind) string {
	if k == nil {
		return unset
	}
	return k.APIVersion + "/" + k.Kind
}
