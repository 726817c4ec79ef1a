package validate

import (
	"strings"

	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// NameRule checks a name, or the prefix of a generated one, and returns what
// is wrong with it. It is the type of api.Rules.NameRule.
type NameRule = func(name string, prefix bool) []string

// Subdomain is the rule of most kinds: a DNS subdomain of RFC 1123.
func Subdomain(name string, prefix bool) []string {
	return apimachinery.NameIsDNSSubdomain(name, prefix)
}

// LongName is a DNS subdomain, too, said in the words of upstream's declared
// rules, which count bytes.
func LongName(name string, prefix bool) []string {
	whys := Subdomain(name, prefix)
	for i, why := range whys {
		if strings.HasPrefix(why, "must be no more than ") {
			whys[i] = strings.TrimSuffix(why, "characters") + "bytes"
		}
	}
	return whys
}

// Label is a DNS label of RFC 1123, as namespaces are named.
func Label(name string, prefix bool) []string {
	return apimachinery.NameIsDNSLabel(name, prefix)
}

// Name reports every reason for which the rule refuses the name at path.
func Name(rule NameRule, name string, path *field.Path) field.ErrorList {
	return Each(rule(name, false), name, path)
}

// ObjectName checks the name of another object, which must be there.
func ObjectName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return Name(Subdomain, name, path)
}

// QualifiedName checks a name with an optional prefix, such as a label key.
func QualifiedName(name string, path *field.Path) field.ErrorList {
	return Each(validation.IsQualifiedName(name), name, path)
}

// DNS1123Label checks a string field that must be a DNS label of RFC 1123.
func DNS1123Label(value string, path *field.Path) field.ErrorList {
	return Each(validation.IsDNS1123Label(value), value, path)
}

// DNS1123Subdomain checks a string field that must be a DNS subdomain.
func DNS1123Subdomain(value string, path *field.Path) field.ErrorList {
	return Each(validation.IsDNS1123Subdomain(value), value, path)
}

// Each reports a value as invalid for every one of the reasons.
func Each(why []string, value any, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, w := range why {
		errs = append(errs, field.Invalid(path, value, w))
	}
	return errs
}
