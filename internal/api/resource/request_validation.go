package resource

import (
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// names are the requests of a claim, with the alternatives of each.
type names map[string]map[string]bool

func namesOf(d *resourcev1.DeviceClaim) names {
	out := names{}
	for _, r := range d.Requests {
		alternatives := map[string]bool{}
		for _, s := range r.FirstAvailable {
			alternatives[s.Name] = true
		}
		out[r.Name] = alternatives
	}
	return out
}

// check finds the request, or request/alternative, that a name is of.
func (n names) check(name string, path *field.Path) field.ErrorList {
	const why = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
	parts := strings.Split(name, "/")
	if len(parts) > 2 {
		return field.ErrorList{field.Invalid(path, name, why)}
	}
	var errs field.ErrorList
	for _, part := range parts {
		errs = append(errs, validate.DNS1123Label(part, path)...)
	}
	alternatives, found := n[parts[0]]
	if len(parts) == 2 {
		found = found && alternatives[parts[1]]
	}
	if !found {
		errs = append(errs, field.Invalid(path, name, why))
	}
	return errs
}

func (n names) checkAll(list []string, path *field.Path) field.ErrorList {
	return set(list, resourcev1.DeviceRequestsMaxSize, path, func(name *string, at *field.Path) field.ErrorList {
		return n.check(*name, at)
	}, func(name *string) string { return *name })
}

// validateDevices checks what a new claim asks for.
func validateDevices(d *resourcev1.DeviceClaim, path *field.Path) field.ErrorList {
	known := namesOf(d)
	errs := set(d.Requests, resourcev1.DeviceRequestsMaxSize, path.Child("requests"), validateRequest,
		func(r *resourcev1.DeviceRequest) string { return r.Name })
	errs = append(errs, list(d.Constraints, resourcev1.DeviceConstraintsMaxSize, path.Child("constraints"),
		func(c *resourcev1.DeviceConstraint, at *field.Path) field.ErrorList {
			return validateConstraint(c, known, at)
		})...)
	return append(errs, list(d.Config, resourcev1.DeviceConfigMaxSize, path.Child("config"),
		func(c *resourcev1.DeviceClaimConfiguration, at *field.Path) field.ErrorList {
			return append(known.checkAll(c.Requests, at.Child("requests")), validateConfiguration(&c.DeviceConfiguration, false, at)...)
		})...)
}

func validateRequest(r *resourcev1.DeviceRequest, path *field.Path) field.ErrorList {
	errs := validate.DNS1123Label(r.Name, path.Child("name"))
	const one = "exactly one of `exactly` or `firstAvailable` is required"
	switch several := len(r.FirstAvailable) > 0; {
	case several && r.Exactly != nil:
		return append(errs, field.Invalid(path, nil, one+", but multiple fields are set"))
	case several:
		return append(errs, set(r.FirstAvailable, resourcev1.FirstAvailableDeviceRequestMaxSize, path.Child("firstAvailable"),
			validateAlternative, func(s *resourcev1.DeviceSubRequest) string { return s.Name })...)
	case r.Exactly == nil:
		return append(errs, field.Required(path, one))
	}
	e, at := r.Exactly, path.Child("exactly")
	return append(errs, validateChoice(e.DeviceClassName, e.Selectors, e.AllocationMode, e.Count, e.Tolerations, at)...)
}

func validateAlternative(s *resourcev1.DeviceSubRequest, path *field.Path) field.ErrorList {
	errs := validate.DNS1123Label(s.Name, path.Child("name"))
	return append(errs, validateChoice(s.DeviceClassName, s.Selectors, s.AllocationMode, s.Count, s.Tolerations, path)...)
}

// validateChoice checks what exact requests and alternatives have in common.
func validateChoice(class string, selectors []resourcev1.DeviceSelector, mode resourcev1.DeviceAllocationMode, count int64, tolerations []resourcev1.DeviceToleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if at := path.Child("deviceClassName"); class == "" {
		errs = append(errs, field.Required(at, ""))
	} else {
		errs = append(errs, validate.DNS1123Subdomain(class, at)...)
	}
	errs = append(errs, validateSelectors(selectors, false, path.Child("selectors"))...)
	errs = append(errs, validateCount(mode, count, path)...)
	return append(errs, validateTolerations(tolerations, path.Child("tolerations"))...)
}

func validateCount(mode resourcev1.DeviceAllocationMode, count int64, path *field.Path) field.ErrorList {
	switch at := path.Child("count"); mode {
	case resourcev1.DeviceAllocationModeAll:
		if count != 0 {
			return field.ErrorList{field.Invalid(at, count, "must not be specified when allocationMode is '"+string(mode)+"'")}
		}
	case resourcev1.DeviceAllocationModeExactCount:
		if count <= 0 {
			return field.ErrorList{field.Invalid(at, count, "must be greater than zero")}
		}
	default:
		return field.ErrorList{field.NotSupported(path.Child("allocationMode"), mode, []resourcev1.DeviceAllocationMode{
			resourcev1.DeviceAllocationModeAll, resourcev1.DeviceAllocationModeExactCount,
		})}
	}
	return nil
}

func validateConstraint(c *resourcev1.DeviceConstraint, known names, path *field.Path) field.ErrorList {
	errs := known.checkAll(c.Requests, path.Child("requests"))
	switch {
	case c.MatchAttribute != nil:
		errs = append(errs, fullName(*c.MatchAttribute, path.Child("matchAttribute"))...)
	case c.DistinctAttribute != nil:
		errs = append(errs, fullName(*c.DistinctAttribute, path.Child("distinctAttribute"))...)
	default:
		errs = append(errs, field.Required(path, `exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set`))
	}
	return errs
}
