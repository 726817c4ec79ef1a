package reviews

import (
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// attributes turns a review's question into the authorizer's.
func attributes(u user.Info, resource *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) authorizer.Attributes {
	if resource == nil {
		return authorizer.AttributesRecord{User: u, Verb: path.Verb, Path: path.Path}
	}
	out := authorizer.AttributesRecord{
		User: u, Verb: resource.Verb, Namespace: resource.Namespace, APIGroup: resource.Group, APIVersion: resource.Version,
		Resource: resource.Resource, Subresource: resource.Subresource, Name: resource.Name, ResourceRequest: true,
	}
	if s := resource.FieldSelector; s != nil {
		if s.RawSelector != "" {
			parsed, err := fields.ParseSelector(s.RawSelector)
			if err != nil {
				out.FieldSelectorParsingErr = err
			} else {
				out.FieldSelectorRequirements = parsed.Requirements()
			}
		}
		out.FieldSelectorRequirements = append(out.FieldSelectorRequirements, fieldRequirements(s.Requirements)...)
	}
	if s := resource.LabelSelector; s != nil {
		out.LabelSelectorRequirements, out.LabelSelectorParsingErr = labelRequirements(s)
	}
	return out
}

// fieldRequirements passes over what it does not know: fewer requirements
// describe a wider request, which is never allowed more.
func fieldRequirements(in []metav1.FieldSelectorRequirement) fields.Requirements {
	var out fields.Requirements
	for _, r := range in {
		if len(r.Values) != 1 {
			continue
		}
		switch r.Operator {
		case metav1.FieldSelectorOpIn:
			out = append(out, fields.Requirement{Operator: selection.Equals, Field: r.Key, Value: r.Values[0]})
		case metav1.FieldSelectorOpNotIn:
			out = append(out, fields.Requirement{Operator: selection.NotEquals, Field: r.Key, Value: r.Values[0]})
		}
	}
	return out
}

func labelRequirements(s *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if s.RawSelector != "" {
		parsed, err := labels.Parse(s.RawSelector)
		if err != nil {
			return nil, err
		}
		out, _ := parsed.Requirements()
		return out, nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: s.Requirements})
	if err != nil {
		return nil, err
	}
	out, _ := parsed.Requirements()
	return out, nil
}

// validateSelectors: a selector is given raw or parsed, and not empty.
func validateSelectors(resource *authorizationv1.ResourceAttributes) field.ErrorList {
	var problems field.ErrorList
	path := field.NewPath("spec", "resourceAttributes")
	if s := resource.FieldSelector; s != nil {
		problems = append(problems, validateSelector(path.Child("fieldSelector"), s.RawSelector, len(s.Requirements))...)
	}
	if s := resource.LabelSelector; s != nil {
		problems = append(problems, validateSelector(path.Child("labelSelector"), s.RawSelector, len(s.Requirements))...)
	}
	return problems
}

func validateSelector(path *field.Path, raw string, requirements int) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(path.Child("requirements"), "when "+path.String()+" is specified, requirements or rawSelector is required")}
	}
	return nil
}
