package networking

import (
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// ServiceCIDR is a range of addresses for Services, or one range of each IP
// family.
func ServiceCIDR() *api.Kind {
	return api.Spec[*networkingv1.ServiceCIDR]{
		Group: group, Version: version, Name: "ServiceCIDR",
		Resource: "servicecidrs", Singular: "servicecidr",
		New:     func() *networkingv1.ServiceCIDR { return &networkingv1.ServiceCIDR{} },
		NewList: func() runtime.Object { return &networkingv1.ServiceCIDRList{} },
		Main: api.RulesOf[*networkingv1.ServiceCIDR]{
			PrepareCreate: func(c *networkingv1.ServiceCIDR) { c.Status = networkingv1.ServiceCIDRStatus{} },
			PrepareUpdate: func(c, old *networkingv1.ServiceCIDR) { c.Status = old.Status },
			Validate: func(c *networkingv1.ServiceCIDR) field.ErrorList {
				return validateRanges(c.Spec.CIDRs, field.NewPath("spec", "cidrs"))
			},
			ValidateUpdate: validateRangesUpdate,
		},
		Status: &api.RulesOf[*networkingv1.ServiceCIDR]{
			PrepareUpdate: func(c, old *networkingv1.ServiceCIDR) { c.Spec = old.Spec },
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("CIDRs", column.Doc(networkingv1.ServiceCIDRSpec{}, "cidrs")),
			column.Age(),
		},
		Row: func(c *networkingv1.ServiceCIDR, now time.Time) []any {
			return []any{c.Name, column.Joined(c.Spec.CIDRs), column.Since(c.CreationTimestamp, now)}
		},
		UnconditionalUpdate: true,
	}.Kind()
}

func validateRanges(ranges []string, path *field.Path) field.ErrorList {
	const most = 2
	switch {
	case len(ranges) == 0:
		return field.ErrorList{field.Required(path, "at least one CIDR required")}
	case len(ranges) > most:
		return field.ErrorList{field.Invalid(path, validate.Shown(networkingv1.ServiceCIDRSpec{CIDRs: ranges}), "may only hold up to 2 values")}
	}
	var errs field.ErrorList
	if len(ranges) == most {
		if dual, err := netutils.IsDualStackCIDRStrings(ranges); err == nil && !dual {
			errs = append(errs, field.Invalid(path, ranges, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
		}
	}
	for i, r := range ranges {
		errs = append(errs, validation.IsValidCIDR(path.Index(i), r)...)
	}
	return errs
}

// validateRangesUpdate lets a range of the other IP family be added, and
// nothing else.
func validateRangesUpdate(c, old *networkingv1.ServiceCIDR) field.ErrorList {
	path := field.NewPath("spec", "cidrs")
	was, is := old.Spec.CIDRs, c.Spec.CIDRs
	grows := len(was) == 1 && len(is) == 2
	if len(was) != len(is) && !grows {
		return field.ErrorList{field.Invalid(path, is, apimachinery.FieldImmutableErrorMsg)}
	}
	var errs field.ErrorList
	for i := range was {
		if was[i] != is[i] {
			errs = append(errs, field.Invalid(path.Index(i), is[i], apimachinery.FieldImmutableErrorMsg))
		}
	}
	if grows {
		errs = append(errs, validateRanges(is, path)...)
	}
	return errs
}
