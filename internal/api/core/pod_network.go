package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// Bounds of a pod's resolver settings.
const (
	maxNameservers   = 3
	maxSearches      = 32
	maxSearchesBytes = 2048
	maxHostname      = 64
)

func (p *podCheck) dns(path *field.Path) field.ErrorList {
	c := p.spec.DNSConfig
	none := p.spec.DNSPolicy == corev1.DNSNone
	if c == nil {
		if none {
			return field.ErrorList{field.Required(path,
				fmt.Sprintf("must provide `dnsConfig` when `dnsPolicy` is %s", corev1.DNSNone))}
		}
		return nil
	}
	at := path.Child("nameservers")
	if none && len(c.Nameservers) == 0 {
		return field.ErrorList{field.Required(at,
			fmt.Sprintf("must provide at least one DNS nameserver when `dnsPolicy` is %s", corev1.DNSNone))}
	}
	var errs field.ErrorList
	if len(c.Nameservers) > maxNameservers {
		errs = append(errs, field.Invalid(at, c.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers)))
	}
	for i, ns := range c.Nameservers {
		errs = append(errs, validate.IP(ns, at.Index(i), p.oldNameservers()...)...)
	}
	errs = append(errs, dnsSearches(c.Searches, path.Child("searches"))...)
	for i, o := range c.Options {
		if o.Name == "" {
			errs = append(errs, field.Required(path.Child("options").Index(i), "must not be empty"))
		}
	}
	return errs
}

func (p *podCheck) oldNameservers() []string {
	if p.old == nil || p.old.DNSConfig == nil {
		return nil
	}
	return p.old.DNSConfig.Nameservers
}

func dnsSearches(searches []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(searches) > maxSearches {
		errs = append(errs, field.Invalid(path, searches, fmt.Sprintf("must not have more than %v search paths", maxSearches)))
	}
	if len(strings.Join(searches, " ")) > maxSearchesBytes {
		errs = append(errs, field.Invalid(path, searches,
			fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchesBytes)))
	}
	for i, search := range searches {
		if search == "." {
			continue
		}
		trimmed := strings.TrimSuffix(search, ".")
		errs = append(errs, validate.Each(validation.IsDNS1123SubdomainWithUnderscore(trimmed), trimmed, path.Index(i))...)
	}
	return errs
}

func (p *podCheck) hostAliases(path *field.Path) field.ErrorList {
	var before []string
	if p.old != nil {
		for _, a := range p.old.HostAliases {
			before = append(before, a.IP)
		}
	}
	var errs field.ErrorList
	for i, a := range p.spec.HostAliases {
		errs = append(errs, validate.IP(a.IP, path.Index(i).Child("ip"), before...)...)
		for j, name := range a.Hostnames {
			errs = append(errs, validate.DNS1123Subdomain(name, path.Index(i).Child("hostnames").Index(j))...)
		}
	}
	return errs
}

// hostnameOverride checks the pod's own choice of its host name (KEP-4762).
func (p *podCheck) hostnameOverride(path *field.Path) field.ErrorList {
	h := p.spec.HostnameOverride
	if h == nil {
		return nil
	}
	errs := forbidden(isTrue(p.spec.SetHostnameAsFQDN), path, "may not be specified when setHostnameAsFQDN is true")
	errs = append(errs, forbidden(p.spec.HostNetwork, path, "may not be specified when hostNetwork is true")...)
	if len(*h) > maxHostname {
		errs = append(errs, field.TooLong(path, *h, maxHostname))
	}
	return append(errs, validate.DNS1123Subdomain(*h, path)...)
}
