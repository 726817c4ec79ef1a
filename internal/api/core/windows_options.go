package core

import (
	"fmt"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// Bounds of Windows credentials and user names.
const (
	maxCredentialSpec = 64 * 1024
	maxUserName       = 104
	maxUserDomain     = 256
)

func windowsOptions(w *corev1.WindowsSecurityContextOptions, path *field.Path) field.ErrorList {
	if w == nil {
		return nil
	}
	var errs field.ErrorList
	if n := w.GMSACredentialSpecName; n != nil {
		errs = append(errs, validate.DNS1123Subdomain(*n, path.Child("gmsaCredentialSpecName"))...)
	}
	if s := w.GMSACredentialSpec; s != nil {
		at := path.Child("gmsaCredentialSpec")
		switch {
		case *s == "":
			errs = append(errs, field.Invalid(at, *s, "gmsaCredentialSpec cannot be an empty string"))
		case len(*s) > maxCredentialSpec:
			errs = append(errs, field.Invalid(at, *s, fmt.Sprintf("gmsaCredentialSpec size must be under %d bytes", maxCredentialSpec)))
		}
	}
	if u := w.RunAsUserName; u != nil {
		errs = append(errs, windowsUser(*u, path.Child("runAsUserName"))...)
	}
	return errs
}

// windowsUser checks DOMAIN\USER, where the domain may be missing.
func windowsUser(name string, path *field.Path) field.ErrorList {
	invalid := func(why string) field.ErrorList { return field.ErrorList{field.Invalid(path, name, why)} }
	switch {
	case name == "":
		return invalid("runAsUserName cannot be an empty string")
	case strings.ContainsFunc(name, unicode.IsControl):
		return invalid("runAsUserName cannot contain control characters")
	case strings.Count(name, `\`) > 1:
		return invalid("runAsUserName cannot contain more than one backslash")
	}
	domain, user, hasDomain := strings.Cut(name, `\`)
	if !hasDomain {
		domain, user = "", name
	}
	var errs field.ErrorList
	if hasDomain && domain == "" {
		errs = append(errs, invalid("runAsUserName's Domain doesn't match the NetBIOS nor the DNS format")...)
	}
	if len(domain) > maxUserDomain {
		errs = append(errs, invalid(fmt.Sprintf("runAsUserName's Domain length must be under %d characters", maxUserDomain))...)
	}
	switch {
	case user == "":
		errs = append(errs, invalid("runAsUserName's User cannot be empty")...)
	case len(user) > maxUserName:
		errs = append(errs, invalid(fmt.Sprintf("runAsUserName's User length must not be longer than %d characters", maxUserName))...)
	case strings.Trim(user, ". ") == "":
		errs = append(errs, invalid("runAsUserName's User cannot contain only periods or spaces")...)
	}
	return errs
}
