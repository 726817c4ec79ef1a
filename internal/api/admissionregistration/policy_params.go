package admissionregistration

import (
	"strings"

	registration "k8s.io/api/admissionregistration/v1"
	pathvalidation "k8s.io/apimachinery/pkg/api/validation/path"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// validateParamKind checks the kind of a policy's parameters; nil is valid.
func validateParamKind(k *registration.ParamKind, path *field.Path) field.ErrorList {
	if k == nil {
		return nil
	}
	errs := validateParamVersion(k.APIVersion, path.Child("apiVersion"))
	if k.Kind == "" {
		return append(errs, field.Required(path.Child("kind"), ""))
	}
	if why := validation.IsDNS1035Label(strings.ToLower(k.Kind)); len(why) > 0 {
		errs = append(errs, field.Invalid(path.Child("kind"), k.Kind, "may have mixed case, but should otherwise match: "+strings.Join(why, ",")))
	}
	return errs
}

func validateParamVersion(apiVersion string, path *field.Path) field.ErrorList {
	if apiVersion == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if strings.Count(apiVersion, "/") > 1 {
		return field.ErrorList{field.Invalid(path, apiVersion, "unexpected GroupVersion string: "+apiVersion)}
	}
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	var errs field.ErrorList
	if group != "" {
		if why := validation.IsDNS1123Subdomain(group); len(why) > 0 {
			errs = append(errs, field.Invalid(path, group, strings.Join(why, ",")))
		}
	}
	if version == "" {
		return append(errs, field.Invalid(path, apiVersion, "version must be specified"))
	}
	if why := validation.IsDNS1035Label(version); len(why) > 0 {
		errs = append(errs, field.Invalid(path, version, strings.Join(why, ",")))
	}
	return errs
}

// validateParamRef checks which parameters a binding uses; nil is valid.
func validateParamRef(r *registration.ParamRef, path *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	const exclusive = "name and selector are mutually exclusive"
	var errs field.ErrorList
	if r.Name != "" {
		errs = append(errs, validate.Each(pathvalidation.ValidatePathSegmentName(r.Name, false), r.Name, path.Child("name"))...)
		if r.Selector != nil {
			errs = append(errs, field.Forbidden(path.Child("name"), exclusive))
		}
	}
	if r.Selector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(r.Selector, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector"))...)
		if r.Name != "" {
			errs = append(errs, field.Forbidden(path.Child("selector"), exclusive))
		}
	}
	if r.Name == "" && r.Selector == nil {
		errs = append(errs, field.Required(path, "one of name or selector must be specified"))
	}
	return append(errs, validateNotFoundAction(r.ParameterNotFoundAction, path.Child("parameterNotFoundAction"))...)
}

func validateNotFoundAction(a *registration.ParameterNotFoundActionType, path *field.Path) field.ErrorList {
	if a == nil || *a == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if *a == registration.DenyAction || *a == registration.AllowAction {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, *a, []registration.ParameterNotFoundActionType{
		registration.DenyAction, registration.AllowAction,
	})}
}
