package validate

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DriverName checks the name of a driver of volumes or devices.
func DriverName(name string, path *field.Path) field.ErrorList {
	const most = 63
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	if len(name) > most {
		errs = append(errs, field.TooLong(path, name, most))
	}
	return append(errs, Each(validation.IsDNS1123Subdomain(strings.ToLower(name)), name, path)...)
}
