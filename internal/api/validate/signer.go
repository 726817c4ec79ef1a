package validate

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxSignerName is a domain, a slash and a path of namespace, dot and name,
// each as long as it can be.
const maxSignerName = validation.DNS1123SubdomainMaxLength + 1 + validation.DNS1123LabelMaxLength + 1 + validation.DNS1123SubdomainMaxLength

// SignerName checks the name of a signer of certificates: a domain of at
// least two labels, and a path.
func SignerName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	domain, rest, found := strings.Cut(name, "/")
	if !found || strings.Contains(rest, "/") {
		return field.ErrorList{field.Invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	var errs field.ErrorList
	if len(domain) > validation.DNS1123SubdomainMaxLength {
		errs = append(errs, field.TooLong(path, domain, validation.DNS1123SubdomainMaxLength))
	}
	labels := strings.Split(domain, ".")
	errs = append(errs, firstWrong(labels, domain, validation.IsDNS1123Label, path)...)
	if len(labels) < 2 {
		errs = append(errs, field.Invalid(path, domain, "should be a domain with at least two segments separated by dots"))
	}
	errs = append(errs, firstWrong(strings.Split(rest, "."), rest, validation.IsDNS1123Subdomain, path)...)
	if len(name) > maxSignerName {
		errs = append(errs, field.TooLong(path, name, maxSignerName))
	}
	return errs
}

// firstWrong reports what is wrong with the first of the labels that breaks
// the rule.
func firstWrong(labels []string, whole string, rule func(string) []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, label := range labels {
		for _, why := range rule(label) {
			errs = append(errs, field.Invalid(path, whole, fmt.Sprintf("validating label %q: %s", label, why)))
		}
		if len(errs) > 0 {
			break
		}
	}
	return errs
}
