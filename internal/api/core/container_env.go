package core

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func hostPortKey(port corev1.ContainerPort) string {
	return fmt.Sprintf("%s/%s/%s", port.Protocol, port.HostIP, strconv.Itoa(int(port.HostPort)))
}

func (p *podCheck) env(vars []corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range vars {
		v, at := &vars[i], path.Index(i)
		if v.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, validate.Each(validation.IsRelaxedEnvVarName(v.Name), v.Name, at.Child("name"))...)
		}
		errs = append(errs, p.envSource(v, at.Child("valueFrom"))...)
	}
	return errs
}

func (p *podCheck) envSource(v *corev1.EnvVar, path *field.Path) field.ErrorList {
	src := v.ValueFrom
	if src == nil {
		return nil
	}
	var errs field.ErrorList
	count := 0
	if src.FieldRef != nil {
		count++
		errs = append(errs, fieldRef(src.FieldRef, envFields(), path.Child("fieldRef"))...)
	}
	if src.ResourceFieldRef != nil {
		count++
		errs = append(errs, resourceFieldRef(src.ResourceFieldRef, false, path.Child("resourceFieldRef"))...)
	}
	if r := src.ConfigMapKeyRef; r != nil {
		count++
		errs = append(errs, keyRef(r.Name, r.Key, path.Child("configMapKeyRef"))...)
	}
	if r := src.SecretKeyRef; r != nil {
		count++
		errs = append(errs, keyRef(r.Name, r.Key, path.Child("secretKeyRef"))...)
	}
	if src.FileKeyRef != nil {
		count++
		errs = append(errs, fileKeyRef(src.FileKeyRef, path.Child("fileKeyRef"))...)
	}
	switch {
	case count == 0:
		errs = append(errs, field.Invalid(path, "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case v.Value != "":
		errs = append(errs, field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case count > 1:
		errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
	}
	return errs
}

// keyRef checks a reference to a key of a ConfigMap or Secret.
func keyRef(name, key string, path *field.Path) field.ErrorList {
	errs := validate.Name(validate.Subdomain, name, path.Child("name"))
	if key == "" {
		return append(errs, field.Required(path.Child("key"), ""))
	}
	return append(errs, validate.Each(validation.IsConfigMapKey(key), key, path.Child("key"))...)
}

func fileKeyRef(r *corev1.FileKeySelector, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r.Key == "" {
		errs = append(errs, field.Required(path.Child("key"), ""))
	} else {
		errs = append(errs, validate.Each(validation.IsRelaxedEnvVarName(r.Key), r.Key, path.Child("key"))...)
	}
	if r.VolumeName == "" {
		errs = append(errs, field.Required(path.Child("volumeName"), ""))
	} else {
		errs = append(errs, validate.DNS1123Label(r.VolumeName, path.Child("volumeName"))...)
	}
	if r.Path == "" {
		return append(errs, field.Required(path.Child("path"), ""))
	}
	return append(errs, noBacksteps(r.Path, path.Child("path"))...)
}

func envFrom(sources []corev1.EnvFromSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range sources {
		s, at := &sources[i], path.Index(i)
		if s.Prefix != "" {
			errs = append(errs, validate.Each(validation.IsRelaxedEnvVarName(s.Prefix), s.Prefix, at.Child("prefix"))...)
		}
		count := 0
		if s.ConfigMapRef != nil {
			count++
			errs = append(errs, validate.ObjectName(s.ConfigMapRef.Name, at.Child("configMapRef", "name"))...)
		}
		if s.SecretRef != nil {
			count++
			errs = append(errs, validate.ObjectName(s.SecretRef.Name, at.Child("secretRef", "name"))...)
		}
		switch {
		case count == 0:
			errs = append(errs, field.Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
		case count > 1:
			errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}
