package flowcontrol

import (
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

const maxPrecedence = 10_000

func validateSchema(s schema) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateSchemaSpec(s, path)
	errs = append(errs, validateMandatorySchema(s, path)...)
	return append(errs, validateSchemaStatus(s)...)
}

func validateSchemaSpec(s schema, path *field.Path) field.ErrorList {
	errs := validatePrecedence(s, path.Child("matchingPrecedence"))
	if m := s.Spec.DistinguisherMethod; m != nil {
		switch m.Type {
		case flowcontrolv1.FlowDistinguisherMethodByNamespaceType, flowcontrolv1.FlowDistinguisherMethodByUserType:
		default:
			errs = append(errs, field.NotSupported(path.Child("distinguisherMethod", "type"), validate.Shown(*m),
				[]flowcontrolv1.FlowDistinguisherMethodType{
					flowcontrolv1.FlowDistinguisherMethodByNamespaceType, flowcontrolv1.FlowDistinguisherMethodByUserType,
				}))
		}
	}
	at, name := path.Child("priorityLevelConfiguration", "name"), s.Spec.PriorityLevelConfiguration.Name
	if name == "" {
		errs = append(errs, field.Required(at, "must reference a priority level"))
	} else {
		errs = append(errs, validate.Name(validate.Subdomain, name, at)...)
	}
	for i := range s.Spec.Rules {
		errs = append(errs, validateRule(&s.Spec.Rules[i], path.Child("rules").Index(i))...)
	}
	return errs
}

func validatePrecedence(s schema, path *field.Path) field.ErrorList {
	switch p := s.Spec.MatchingPrecedence; {
	case p <= 0:
		return field.ErrorList{field.Invalid(path, p, "must be a positive value")}
	case p > maxPrecedence:
		return field.ErrorList{field.Invalid(path, p, "must not be greater than 10000")}
	case p == 1 && s.Name != flowcontrolv1.FlowSchemaNameExempt:
		return field.ErrorList{field.Invalid(path, p, "only the schema named 'exempt' may have matchingPrecedence 1")}
	}
	return nil
}

func validateRule(r *flowcontrolv1.PolicyRulesWithSubjects, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(r.Subjects) == 0 {
		errs = append(errs, field.Required(path.Child("subjects"), "subjects must contain at least one value"))
	}
	for i := range r.Subjects {
		errs = append(errs, validateSubject(&r.Subjects[i], path.Child("subjects").Index(i))...)
	}
	if len(r.ResourceRules) == 0 && len(r.NonResourceRules) == 0 {
		errs = append(errs, field.Required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
	}
	for i := range r.ResourceRules {
		errs = append(errs, validateResourceRule(&r.ResourceRules[i], path.Child("resourceRules").Index(i))...)
	}
	for i := range r.NonResourceRules {
		errs = append(errs, validateURLRule(&r.NonResourceRules[i], path.Child("nonResourceRules").Index(i))...)
	}
	return errs
}

func validateSubject(s *flowcontrolv1.Subject, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch s.Kind {
	case flowcontrolv1.SubjectKindServiceAccount:
		errs = validateAccount(s.ServiceAccount, path.Child("serviceAccount"))
	case flowcontrolv1.SubjectKindUser:
		errs = validateNamed("user", "User", s.User != nil, func() string { return s.User.Name }, path.Child("user"))
	case flowcontrolv1.SubjectKindGroup:
		errs = validateNamed("group", "Group", s.Group != nil, func() string { return s.Group.Name }, path.Child("group"))
	default:
		return field.ErrorList{field.NotSupported(path.Child("kind"), s.Kind, []flowcontrolv1.SubjectKind{
			flowcontrolv1.SubjectKindGroup, flowcontrolv1.SubjectKindServiceAccount, flowcontrolv1.SubjectKindUser,
		})}
	}
	for _, other := range []struct {
		kind flowcontrolv1.SubjectKind
		name string
		set  bool
	}{
		{flowcontrolv1.SubjectKindServiceAccount, "serviceAccount", s.ServiceAccount != nil},
		{flowcontrolv1.SubjectKindUser, "user", s.User != nil},
		{flowcontrolv1.SubjectKindGroup, "group", s.Group != nil},
	} {
		if other.set && other.kind != s.Kind {
			errs = append(errs, field.Forbidden(path.Child(other.name), other.name+" is forbidden when subject kind is not '"+string(other.kind)+"'"))
		}
	}
	return errs
}

func validateNamed(name, kind string, set bool, value func() string, path *field.Path) field.ErrorList {
	if !set {
		return field.ErrorList{field.Required(path, name+" is required when subject kind is '"+kind+"'")}
	}
	if value() == "" {
		return field.ErrorList{field.Required(path.Child("name"), "")}
	}
	return nil
}

func validateAccount(a *flowcontrolv1.ServiceAccountSubject, path *field.Path) field.ErrorList {
	if a == nil {
		return field.ErrorList{field.Required(path, "serviceAccount is required when subject kind is 'ServiceAccount'")}
	}
	var errs field.ErrorList
	switch a.Name {
	case "":
		errs = append(errs, field.Required(path.Child("name"), ""))
	case flowcontrolv1.NameAll:
	default:
		errs = append(errs, validate.Name(validate.Subdomain, a.Name, path.Child("name"))...)
	}
	if a.Namespace == "" {
		return append(errs, field.Required(path.Child("namespace"), "must specify namespace for service account"))
	}
	return append(errs, validate.Name(validate.Label, a.Namespace, path.Child("namespace"))...)
}

func validateSchemaStatus(s schema) field.ErrorList {
	var types []string
	for _, c := range s.Status.Conditions {
		types = append(types, string(c.Type))
	}
	return validateTypes(types)
}

// validateTypes checks the types of conditions: named, and each once.
func validateTypes(types []string) field.ErrorList {
	var errs field.ErrorList
	for i, t := range types {
		at := field.NewPath("status", "conditions").Index(i).Child("type")
		if slices.Contains(types[:i], t) {
			errs = append(errs, field.Duplicate(at, t))
		}
		if t == "" {
			errs = append(errs, field.Required(at, ""))
		}
	}
	return errs
}
