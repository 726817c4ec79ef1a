package core

import (
	"fmt"
	"regexp"
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

// notInUserName is what a user's name cannot contain.
const notInUserName = `"/\:;|=,+*?<>@[]`

// Names of domains. One of NetBIOS may have any character but these, and does
// not begin with a dot.
var (
	netBIOSName   = regexp.MustCompile(`^[^\\/:\*\?"<>|\.][^\\/:\*\?"<>|]{0,14}$`)
	windowsDomain = regexp.MustCompile(`^` + domainLabel + `(?:\.` + domainLabel + `)*$`)
)

const domainLabel = `[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?`

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
			errs = append(errs, field.Invalid(at, *s, fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxCredentialSpec/1024)))
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
	if len(domain) >= maxUserDomain {
		errs = append(errs, invalid(fmt.Sprintf("runAsUserName's Domain length must be under %d characters", maxUserDomain))...)
	}
	if hasDomain && !netBIOSName.MatchString(domain) && !windowsDomain.MatchString(domain) {
		errs = append(errs, invalid("runAsUserName's Domain doesn't match the NetBios nor the DNS format")...)
	}
	switch {
	case user == "":
		errs = append(errs, invalid("runAsUserName's User cannot be empty")...)
	case len(user) > maxUserName:
		errs = append(errs, invalid(fmt.Sprintf("runAsUserName's User length must not be longer than %d characters", maxUserName))...)
	}
	if user != "" && strings.Trim(user, ". ") == "" {
		errs = append(errs, invalid("runAsUserName's User cannot contain only periods or spaces")...)
	}
	if strings.ContainsAny(user, notInUserName) {
		errs = append(errs, invalid("runAsUserName's User cannot contain the following characters: "+notInUserName)...)
	}
	return errs
}
