package apiregistration

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	maxGroupPriority   = 20_000
	maxVersionPriority = 1_000
)

// anyName leaves the name to validateService, which knows what it must be.
func anyName(string, bool) []string { return nil }

func validateService(s *registration.APIService) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if want := s.Spec.Version + "." + s.Spec.Group; s.Name != "" && s.Name != want {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), s.Name,
			fmt.Sprintf("must be `spec.version+\".\"+spec.group`: %q", want)))
	}
	errs = append(errs, validateGroup(&s.Spec, path)...)
	if p := s.Spec.GroupPriorityMinimum; p <= 0 || p > maxGroupPriority {
		errs = append(errs, field.Invalid(path.Child("groupPriorityMinimum"), p, fmt.Sprintf("must be positive and less than %d", maxGroupPriority)))
	}
	if p := s.Spec.VersionPriority; p <= 0 || p > maxVersionPriority {
		errs = append(errs, field.Invalid(path.Child("versionPriority"), p, fmt.Sprintf("must be positive and less than %d", maxVersionPriority)))
	}
	if s.Spec.Service == nil {
		return append(errs, validateLocal(&s.Spec, path)...)
	}
	return append(errs, validateRemote(&s.Spec, path)...)
}

func validateGroup(s *registration.APIServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	at := path.Child("group")
	if s.Group != "" {
		for _, why := range validation.IsDNS1123Subdomain(s.Group) {
			errs = append(errs, field.Invalid(at, s.Group, why))
		}
	} else if s.Version != "v1" {
		errs = append(errs, field.Required(at, "only v1 may have an empty group and it better be legacy kube"))
	}
	for _, why := range validation.IsDNS1035Label(s.Version) {
		errs = append(errs, field.Invalid(path.Child("version"), s.Version, why))
	}
	return errs
}

// validateLocal refuses what says how to call another server.
func validateLocal(s *registration.APIServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if n := len(s.CABundle); n > 0 {
		errs = append(errs, field.Invalid(path.Child("caBundle"), fmt.Sprintf("%d bytes", n), "local APIServices may not have a caBundle"))
	}
	if s.InsecureSkipTLSVerify {
		errs = append(errs, field.Invalid(path.Child("insecureSkipTLSVerify"), true, "local APIServices may not have insecureSkipTLSVerify"))
	}
	return errs
}

func validateRemote(s *registration.APIServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	service := path.Child("service")
	if s.Service.Namespace == "" {
		errs = append(errs, field.Required(service.Child("namespace"), ""))
	}
	if s.Service.Name == "" {
		errs = append(errs, field.Required(service.Child("name"), ""))
	}
	if s.Service.Port != nil {
		errs = append(errs, validate.ServicePort(*s.Service.Port, service.Child("port"))...)
	}
	if s.InsecureSkipTLSVerify && len(s.CABundle) > 0 {
		errs = append(errs, field.Invalid(path.Child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present"))
	}
	return errs
}

func validateServiceUpdate(s, _ *registration.APIService) field.ErrorList { return validateService(s) }

func validateStatus(s, _ *registration.APIService) field.ErrorList {
	var errs field.ErrorList
	for i, c := range s.Status.Conditions {
		switch c.Status {
		case registration.ConditionTrue, registration.ConditionFalse, registration.ConditionUnknown:
			continue
		}
		errs = append(errs, field.NotSupported(field.NewPath("status", "conditions").Index(i).Child("status"), c.Status,
			[]registration.ConditionStatus{registration.ConditionTrue, registration.ConditionFalse, registration.ConditionUnknown}))
	}
	return errs
}
