package admissionregistration

import (
	"slices"
	"strings"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func defaultRule(r *registration.Rule) { optional.Default(&r.Scope, registration.AllScopes) }

// validateRule checks which requests a webhook or policy is asked about.
func validateRule(r *registration.RuleWithOperations, path *field.Path) field.ErrorList {
	operations := path.Child("operations")
	errs := validateList(r.Operations, operations, "operations")
	for i, op := range r.Operations {
		errs = append(errs, validate.OneOf(op, operations.Index(i), registration.OperationAll,
			registration.Create, registration.Update, registration.Delete, registration.Connect)...)
	}
	errs = append(errs, validateList(r.APIGroups, path.Child("apiGroups"), "API groups")...)
	versions := path.Child("apiVersions")
	errs = append(errs, validateList(r.APIVersions, versions, "API versions")...)
	for i, v := range r.APIVersions {
		if v == "" {
			errs = append(errs, field.Required(versions.Index(i), ""))
		}
	}
	errs = append(errs, validateResources(r.Resources, path.Child("resources"))...)
	if r.Scope != nil {
		errs = append(errs, validate.OneOf(*r.Scope, path.Child("scope"),
			registration.ClusterScope, registration.NamespacedScope, registration.AllScopes)...)
	}
	return errs
}

// validateList refuses no entry, and others beside the wildcard.
func validateList[T ~string](list []T, path *field.Path, what string) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	if len(list) > 1 && slices.Contains(list, "*") {
		return field.ErrorList{field.Invalid(path, list, "if '*' is present, must not specify other "+what)}
	}
	return nil
}

// validateResources refuses resources that a wildcard before them covers.
func validateResources(resources []string, path *field.Path) field.ErrorList {
	if len(resources) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	allSubresources, allResources := map[string]bool{}, map[string]bool{}
	// bare is true where the last resource without subresource is a plain name.
	bare := false
	for i, r := range resources {
		if r == "" {
			errs = append(errs, field.Required(path.Index(i), ""))
			continue
		}
		resource, sub, hasSub := strings.Cut(r, "/")
		if !hasSub {
			bare = r != "*"
			continue
		}
		if allSubresources[resource] {
			errs = append(errs, field.Invalid(path.Index(i), r, "if '"+resource+"/*' is present, must not specify "+r))
		}
		if allResources[sub] {
			errs = append(errs, field.Invalid(path.Index(i), r, "if '*/"+sub+"' is present, must not specify "+r))
		}
		allSubresources[resource] = allSubresources[resource] || sub == "*"
		allResources[sub] = allResources[sub] || resource == "*"
	}
	if len(resources) > 1 && slices.Contains(resources, "*/*") {
		errs = append(errs, field.Invalid(path, resources, "if '*/*' is present, must not specify other resources"))
	}
	if bare && slices.Contains(resources, "*") {
		errs = append(errs, field.Invalid(path, resources, "if '*' is present, must not specify other resources without subresources"))
	}
	return errs
}
