package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// configStatus checks what is left of a feature that is gone: kubelets that
// took their configuration from the API.
func configStatus(s *corev1.NodeConfigStatus, at *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	var errs field.ErrorList
	for _, c := range []struct {
		name   string
		source *corev1.NodeConfigSource
	}{{"assigned", s.Assigned}, {"active", s.Active}, {"lastKnownGood", s.LastKnownGood}} {
		if c.source != nil {
			errs = append(errs, configSource(c.source, true, at.Child(c.name))...)
		}
	}
	return errs
}

// configSource checks the reference to a ConfigMap. In a status it names one
// state of it, in a spec it must not.
func configSource(s *corev1.NodeConfigSource, inStatus bool, at *field.Path) field.ErrorList {
	c := s.ConfigMap
	if c == nil {
		return field.ErrorList{field.Invalid(at, validate.Shown(s), "exactly one reference subfield must be non-nil")}
	}
	at = at.Child("configMap")
	var errs field.ErrorList
	if inStatus {
		errs = append(requiredIf(c.UID == "", at.Child("uid")), requiredIf(c.ResourceVersion == "", at.Child("resourceVersion"))...)
	} else {
		errs = forbidden(c.UID != "", at.Child("uid"), "uid must not be set in spec")
		errs = append(errs, forbidden(c.ResourceVersion != "", at.Child("resourceVersion"), "resourceVersion must not be set in spec")...)
	}
	errs = append(errs, requiredName(validate.Label, c.Namespace, at.Child("namespace"))...)
	errs = append(errs, requiredName(validate.Subdomain, c.Name, at.Child("name"))...)
	key := at.Child("kubeletConfigKey")
	if c.KubeletConfigKey == "" {
		return append(errs, field.Required(key, ""))
	}
	return append(errs, validate.Each(validation.IsConfigMapKey(c.KubeletConfigKey), c.KubeletConfigKey, key)...)
}

func requiredName(rule validate.NameRule, name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return validate.Name(rule, name, at)
}
