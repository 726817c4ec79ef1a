package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func sortedResources(l corev1.ResourceList) []corev1.ResourceName {
	names := make([]corev1.ResourceName, 0, len(l))
	for name := range l {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// containerResources checks requests and limits of a container.
func (p *podCheck) containerResources(r *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	name := func(n corev1.ResourceName, at *field.Path) field.ErrorList {
		return validate.ContainerResourceName(string(n), at)
	}
	return p.resourceRequirements(r, path, name)
}

func (p *podCheck) resourceRequirements(
	r *corev1.ResourceRequirements, path *field.Path, checkName func(corev1.ResourceName, *field.Path) field.ErrorList,
) field.ErrorList {
	var errs field.ErrorList
	huge, main := false, false
	note := func(name corev1.ResourceName) {
		huge = huge || isHugePage(name)
		main = main || name == corev1.ResourceCPU || name == corev1.ResourceMemory
	}
	limits, requests := path.Child("limits"), path.Child("requests")
	for _, name := range sortedResources(r.Limits) {
		at := limits.Key(string(name))
		errs = append(errs, checkName(name, at)...)
		errs = append(errs, amount(name, r.Limits, at)...)
		note(name)
	}
	for _, name := range sortedResources(r.Requests) {
		at := requests.Key(string(name))
		errs = append(errs, checkName(name, at)...)
		errs = append(errs, amount(name, r.Requests, at)...)
		errs = append(errs, withinLimit(name, r, requests, limits)...)
		note(name)
	}
	if huge && !main {
		errs = append(errs, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	return append(errs, p.resourceClaimNames(r.Claims, path.Child("claims"))...)
}

func amount(name corev1.ResourceName, l corev1.ResourceList, at *field.Path) field.ErrorList {
	q := l[name]
	errs := validate.ResourceQuantity(name, q, at)
	if isHugePage(name) && !wholePages(name, q) {
		errs = append(errs, field.Invalid(at, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name)))
	}
	return errs
}

// wholePages tells whether an amount of huge pages is a multiple of the size
// that their name ends in.
func wholePages(name corev1.ResourceName, q resource.Quantity) bool {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	return err == nil && size.Sign() > 0 && size.MilliValue()%1000 == 0 && q.Value()%size.Value() == 0
}

// withinLimit checks a request against the limit of the same resource.
func withinLimit(name corev1.ResourceName, r *corev1.ResourceRequirements, requests, limits *field.Path) field.ErrorList {
	q := r.Requests[name]
	limit, ok := r.Limits[name]
	switch {
	case !ok:
		if !validate.OvercommitAllowed(name) {
			return field.ErrorList{field.Required(limits, "Limit must be set for non overcommitable resources")}
		}
	case q.Cmp(limit) != 0 && !validate.OvercommitAllowed(name):
		return field.ErrorList{field.Invalid(requests, q.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))}
	case q.Cmp(limit) > 0:
		return field.ErrorList{field.Invalid(requests, q.String(),
			fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))}
	}
	return nil
}

// resourceClaimNames checks that claims of a container are among the pod's,
// and that none is named again, whole or in part.
func (p *podCheck) resourceClaimNames(claims []corev1.ResourceClaim, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, c := range claims {
		at := path.Index(i)
		if c.Name == "" {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		errs = append(errs, claimAgain(c, seen, at)...)
		if p.claims.Has(c.Name) {
			continue
		}
		// The detail is part of the value's text, as upstream prints it.
		e := field.NotFound(at, c.Name)
		e.Detail = "must be one of the names in pod.spec.resourceClaims"
		if p.claims.Len() == 0 {
			e.Detail += " which is empty"
		} else {
			e.Detail += ": " + strings.Join(sets.List(p.claims), ", ")
		}
		errs = append(errs, e)
	}
	return errs
}

// claimAgain notes what a container names: a claim, or one request of it.
func claimAgain(c corev1.ResourceClaim, seen sets.Set[string], at *field.Path) field.ErrorList {
	if seen.Has(c.Name) {
		return field.ErrorList{field.Duplicate(at, c.Name)}
	}
	var errs field.ErrorList
	key := c.Name
	if c.Request != "" {
		errs = validate.DNS1123Label(c.Request, at.Child("request"))
		key += "/" + c.Request
	}
	if seen.Has(key) {
		errs = append(errs, field.Duplicate(at, key))
	} else if c.Request == "" {
		for other := range seen {
			if strings.HasPrefix(other, c.Name+"/") {
				errs = append(errs, field.Duplicate(at, c.Name))
			}
		}
	}
	seen.Insert(key)
	return errs
}

func (p *podCheck) resizePolicy(list []corev1.ContainerResizePolicy, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[corev1.ResourceName]()
	for i, r := range list {
		if seen.Has(r.ResourceName) {
			errs = append(errs, field.Duplicate(path.Index(i), r.ResourceName))
		}
		seen.Insert(r.ResourceName)
		errs = append(errs, validate.RequiredOneOf(r.ResourceName, path, corev1.ResourceCPU, corev1.ResourceMemory)...)
		errs = append(errs, validate.RequiredOneOf(r.RestartPolicy, path, corev1.NotRequired, corev1.RestartContainer)...)
		if p.spec.RestartPolicy == corev1.RestartPolicyNever && r.RestartPolicy != corev1.NotRequired {
			errs = append(errs, field.Invalid(path, r.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
		}
	}
	return errs
}
