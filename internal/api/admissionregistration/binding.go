package admissionregistration

import (
	"slices"
	"time"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

type (
	validatingBinding = *registration.ValidatingAdmissionPolicyBinding
	mutatingBinding   = *registration.MutatingAdmissionPolicyBinding
)

// ValidatingAdmissionPolicyBinding says where a policy holds, with which
// parameters, and what follows from a violation.
func ValidatingAdmissionPolicyBinding() *api.Kind {
	return api.Spec[validatingBinding]{
		Group: group, Version: version, Name: "ValidatingAdmissionPolicyBinding",
		Resource: "validatingadmissionpolicybindings", Singular: "validatingadmissionpolicybinding", Categories: categories(),
		New:     func() validatingBinding { return &registration.ValidatingAdmissionPolicyBinding{} },
		NewList: func() runtime.Object { return &registration.ValidatingAdmissionPolicyBindingList{} },
		Main: api.RulesOf[validatingBinding]{
			Meta: api.MetaLoose, MetaAsNew: true,
			Default:        func(b validatingBinding) { defaultMatch(b.Spec.MatchResources) },
			Validate:       validateValidatingBinding,
			ValidateUpdate: func(b, _ validatingBinding) field.ErrorList { return validateValidatingBinding(b) },
			Generation:     func(b, old validatingBinding) bool { return !equality.Semantic.DeepEqual(b.Spec, old.Spec) },
		},
		Columns: bindingColumns(),
		Row: func(b validatingBinding, now time.Time) []any {
			return []any{b.Name, b.Spec.PolicyName, paramRefCell(b.Spec.ParamRef), column.Since(b.CreationTimestamp, now)}
		},
	}.Kind()
}

// MutatingAdmissionPolicyBinding says where a policy holds, and with which
// parameters.
func MutatingAdmissionPolicyBinding() *api.Kind {
	return api.Spec[mutatingBinding]{
		Group: group, Version: version, Name: "MutatingAdmissionPolicyBinding",
		Resource: "mutatingadmissionpolicybindings", Singular: "mutatingadmissionpolicybinding", Categories: categories(),
		New:     func() mutatingBinding { return &registration.MutatingAdmissionPolicyBinding{} },
		NewList: func() runtime.Object { return &registration.MutatingAdmissionPolicyBindingList{} },
		Main: api.RulesOf[mutatingBinding]{
			Meta: api.MetaLoose, MetaAsNew: true,
			Default:        func(b mutatingBinding) { defaultMatch(b.Spec.MatchResources) },
			Validate:       validateMutatingBinding,
			ValidateUpdate: func(b, _ mutatingBinding) field.ErrorList { return validateMutatingBinding(b) },
			Generation:     func(b, old mutatingBinding) bool { return !equality.Semantic.DeepEqual(b.Spec, old.Spec) },
		},
		Columns: bindingColumns(),
		Row: func(b mutatingBinding, now time.Time) []any {
			return []any{b.Name, b.Spec.PolicyName, paramRefCell(b.Spec.ParamRef), column.Since(b.CreationTimestamp, now)}
		},
	}.Kind()
}

func bindingColumns() []api.Column {
	return []api.Column{
		column.Name(),
		column.Text("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
		column.Text("ParamRef", "ParamRef indicates the param resource which sets the configuration param"),
		column.Age(),
	}
}

func paramRefCell(r *registration.ParamRef) string {
	switch {
	case r == nil, r.Name == "" && r.Selector == nil:
		return unset
	case r.Name == "":
		return r.Selector.String()
	case r.Namespace == "":
		return "*/" + r.Name
	}
	return r.Namespace + "/" + r.Name
}

func validateMutatingBinding(b mutatingBinding) field.ErrorList {
	path := field.NewPath("spec")
	errs := validate.ObjectName(b.Spec.PolicyName, path.Child("policyName"))
	errs = append(errs, validateParamRef(b.Spec.ParamRef, path.Child("paramRef"))...)
	errs = append(errs, validateMatch(b.Spec.MatchResources, path.Child("matchResources"))...)
	return append(errs, validateMutableOperations(b.Spec.MatchResources, path.Child("matchResources"))...)
}

func validateValidatingBinding(b validatingBinding) field.ErrorList {
	path := field.NewPath("spec")
	errs := validate.ObjectName(b.Spec.PolicyName, path.Child("policyName"))
	errs = append(errs, validateParamRef(b.Spec.ParamRef, path.Child("paramRef"))...)
	errs = append(errs, validateMatch(b.Spec.MatchResources, path.Child("matchResources"))...)
	return append(errs, validateActions(b.Spec.ValidationActions, path.Child("validationActions"))...)
}

func validateActions(actions []registration.ValidationAction, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, a := range actions {
		errs = append(errs, validate.OneOf(a, path.Index(i), registration.Deny, registration.Warn, registration.Audit)...)
		if slices.Contains(actions[:i], a) {
			errs = append(errs, field.Duplicate(path.Index(i), a))
		}
	}
	if slices.Contains(actions, registration.Deny) && slices.Contains(actions, registration.Warn) {
		errs = append(errs, field.Invalid(path, actions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"))
	}
	if len(actions) == 0 {
		errs = append(errs, field.Required(path, "at least one validation action is required"))
	}
	return errs
}
