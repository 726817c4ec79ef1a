package validate

import (
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// WebhookURL checks the address of a webhook outside of the cluster.
func WebhookURL(value string, path *field.Path) field.ErrorList {
	const form = "; desired format: https://host[/path]"
	u, err := url.Parse(value)
	if err != nil {
		return field.ErrorList{field.Required(path, "url must be a valid URL: "+err.Error()+form)}
	}
	var errs field.ErrorList
	refuse := func(wrong bool, shown, why string) {
		if wrong {
			errs = append(errs, field.Invalid(path, shown, why))
		}
	}
	refuse(u.Scheme != "https", u.Scheme, "'https' is the only allowed URL scheme"+form)
	refuse(u.Host == "", u.Host, "host must be specified"+form)
	refuse(u.User != nil, u.User.String(), "user information is not permitted in the URL")
	refuse(u.Fragment != "", u.Fragment, "fragments are not permitted in the URL")
	refuse(u.RawQuery != "", u.RawQuery, "query parameters are not permitted in the URL")
	return errs
}

// ServicePort checks the port at which a Service of the cluster is called.
func ServicePort(port int32, path *field.Path) field.ErrorList {
	if why := validation.IsValidPortNum(int(port)); len(why) > 0 {
		return field.ErrorList{field.Invalid(path, port, "port is not valid: "+strings.Join(why, ", "))}
	}
	return nil
}

// WebhookPath checks the URL path at which a Service is called: segments that
// are DNS subdomains.
func WebhookPath(value string, path *field.Path) field.ErrorList {
	switch value {
	case "", "/":
		return nil
	case "//":
		return field.ErrorList{field.Invalid(path, value, "segment[0] may not be empty")}
	}
	var errs field.ErrorList
	if value[0] != '/' {
		errs = append(errs, field.Invalid(path, value, "must start with a '/'"))
	}
	for i, segment := range strings.Split(strings.TrimSuffix(value[1:], "/"), "/") {
		if segment == "" {
			errs = append(errs, field.Invalid(path, value, fmt.Sprintf("segment[%d] may not be empty", i)))
			continue
		}
		for _, why := range validation.IsDNS1123Subdomain(segment) {
			errs = append(errs, field.Invalid(path, value, fmt.Sprintf("segment[%d]: %v", i, why)))
		}
	}
	return errs
}
