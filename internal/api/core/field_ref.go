package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// envFields are the pod fields that environment variables can show.
func envFields() []string {
	return []string{
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
}

// volumeFields are the pod fields that downward API volumes can show.
func volumeFields() []string {
	return []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
}

// downwardFields are all fields that some downward API knows.
func downwardFields() []string {
	return append(append(envFields(), volumeFields()...),
		"spec.restartPolicy", "spec.schedulerName", "status.phase")
}

func fieldRef(r *corev1.ObjectFieldSelector, allowed []string, path *field.Path) field.ErrorList {
	at := path.Child("fieldPath")
	switch {
	case r.APIVersion == "":
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	case r.FieldPath == "":
		return field.ErrorList{field.Required(at, "")}
	case r.APIVersion != version:
		return field.ErrorList{field.Invalid(at, r.FieldPath,
			"error converting fieldPath: unsupported pod version: "+r.APIVersion)}
	}
	name, subscript, subscripted := cutSubscript(r.FieldPath)
	if subscripted {
		return subscriptedField(name, subscript, r.FieldPath, path)
	}
	if name == "spec.host" { // the name before v1
		name = "spec.nodeName"
	}
	if !slices.Contains(downwardFields(), name) {
		return field.ErrorList{field.Invalid(at, r.FieldPath, "error converting fieldPath: field label not supported: "+name)}
	}
	if !slices.Contains(allowed, name) {
		return field.ErrorList{field.NotSupported(at, name, allowed)}
	}
	return nil
}

// cutSubscript splits metadata.labels['key'] into its path and key.
func cutSubscript(s string) (path, key string, ok bool) {
	rest, found := strings.CutSuffix(s, "']")
	if !found {
		return s, "", false
	}
	path, key, found = strings.Cut(rest, "['")
	if !found || path == "" {
		return s, "", false
	}
	return path, key, true
}

func subscriptedField(name, key, whole string, path *field.Path) field.ErrorList {
	switch name {
	case "metadata.annotations":
		return validate.Each(validation.IsQualifiedName(strings.ToLower(key)), key, path)
	case "metadata.labels":
		return validate.QualifiedName(key, path)
	}
	return field.ErrorList{field.Invalid(path.Child("fieldPath"), whole,
		"error converting fieldPath: field label does not support subscript: "+whole)}
}

func resourceFields() []string {
	return []string{
		"limits.cpu", "limits.ephemeral-storage", "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory",
	}
}

// resourceFieldRef checks a reference to a container's resource; in a volume
// it must name the container.
func resourceFieldRef(r *corev1.ResourceFieldSelector, inVolume bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case inVolume && r.ContainerName == "":
		errs = append(errs, field.Required(path.Child("containerName"), ""))
	case r.Resource == "":
		errs = append(errs, field.Required(path.Child("resource"), ""))
	case !slices.Contains(resourceFields(), r.Resource) && !hugePageField(r.Resource):
		errs = append(errs, field.NotSupported(path.Child("resource"), r.Resource, resourceFields()))
	}
	return append(errs, divisor(r, path)...)
}

func hugePageField(name string) bool {
	return strings.HasPrefix(name, "limits.hugepages-") || strings.HasPrefix(name, "requests.hugepages-")
}

func divisor(r *corev1.ResourceFieldSelector, path *field.Path) field.ErrorList {
	if r.Divisor.IsZero() {
		return nil
	}
	const sizes = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
	_, kind, _ := strings.Cut(r.Resource, ".")
	allowed, why := strings.Split(sizes, ", "), ""
	switch {
	case kind == "cpu":
		allowed, why = []string{"1m", "1"}, "only divisor's values 1m and 1 are supported with the cpu resource"
	case kind == "memory":
		why = fmt.Sprintf("only divisor's values %s are supported with the memory resource", sizes)
	case kind == "ephemeral-storage":
		why = fmt.Sprintf("only divisor's values %s are supported with the local ephemeral storage resource", sizes)
	case strings.HasPrefix(kind, corev1.ResourceHugePagesPrefix):
		why = fmt.Sprintf("only divisor's values %s are supported with the hugepages resource", sizes)
	default:
		return nil
	}
	for _, a := range allowed {
		if r.Divisor.Cmp(resource.MustParse(a)) == 0 {
			return nil
		}
	}
	return field.ErrorList{field.Invalid(path.Child("divisor"), r.Resource, why)}
}
