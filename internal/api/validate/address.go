package validate

import (
	"fmt"
	"net"
	"slices"

	apimachinery "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// IP checks an address as fields older than strict parsing take it since 1.36
// (KEP-4858): no leading zeros, no IPv4 inside IPv6. Values that the object
// held before stay valid.
func IP(value string, path *field.Path, before ...string) field.ErrorList {
	return unless(before, value, apimachinery.IsValidIPForLegacyField(path, value, true, nil))
}

// CIDR is IP for address ranges; bits behind the mask must be zero.
func CIDR(value string, path *field.Path, before ...string) field.ErrorList {
	return unless(before, value, apimachinery.IsValidCIDRForLegacyField(path, value, true, nil))
}

// WarnIP tells where an address is written otherwise than it should be. What is
// no address at all gets no warning.
func WarnIP(value string, path *field.Path) []string {
	if netutils.ParseIPSloppy(value) == nil {
		return nil
	}
	return apimachinery.GetWarningsForIP(path, value)
}

// WarnCIDR is WarnIP for address ranges.
func WarnCIDR(value string, path *field.Path) []string {
	if _, _, err := netutils.ParseCIDRSloppy(value); err != nil {
		return nil
	}
	return apimachinery.GetWarningsForCIDR(path, value)
}

// unless looks among the values of before only where there is an error, so
// that long lists of valid addresses cost nothing.
func unless(before []string, value string, errs field.ErrorList) field.ErrorList {
	if len(errs) > 0 && slices.Contains(before, value) {
		return nil
	}
	return errs
}

// OrdinaryIP refuses addresses that no other machine can be reached at:
// unspecified, loopback, link-local.
func OrdinaryIP(value string, path *field.Path) field.ErrorList {
	ip := netutils.ParseIPSloppy(value)
	if ip == nil {
		return field.ErrorList{field.Invalid(path, value, "must be a valid IP address")}
	}
	var errs field.ErrorList
	if ip.IsUnspecified() {
		errs = append(errs, field.Invalid(path, value, fmt.Sprintf("may not be unspecified (%s)", value)))
	}
	for _, rule := range specialRanges() {
		if rule.holds(ip) {
			errs = append(errs, field.Invalid(path, value, rule.why))
		}
	}
	return errs
}

type specialRange struct {
	holds func(net.IP) bool
	why   string
}

func specialRanges() []specialRange {
	return []specialRange{
		{net.IP.IsLoopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"},
		{net.IP.IsLinkLocalUnicast, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"},
		{net.IP.IsLinkLocalMulticast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"},
	}
}
