package core

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Annotations that once stood for fields and are still checked.
const (
	seccompContainerPrefix  = corev1.SeccompContainerAnnotationKeyPrefix
	seccompPod              = corev1.SeccompPodAnnotationKey
	appArmorContainerPrefix = corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix
)

func podAnnotations(a map[string]string, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if mirror, ok := a[corev1.MirrorPodAnnotationKey]; ok && spec.NodeName == "" {
		errs = append(errs, field.Invalid(path.Key(corev1.MirrorPodAnnotationKey), mirror,
			"must set spec.nodeName if mirror pod annotation is set"))
	}
	if len(a) == 0 {
		return errs
	}
	if cost, ok := a[corev1.PodDeletionCost]; ok && !deletionCost(cost) {
		errs = append(errs, field.Invalid(path.Key(corev1.PodDeletionCost), cost, "must be a 32bit integer"))
	}
	containers := sets.New[string]()
	(&podCheck{spec: spec}).eachContainer(path, func(c *corev1.Container, _ *field.Path) { containers.Insert(c.Name) })
	for _, key := range sortedKeys(a) {
		switch {
		case key == seccompPod || strings.HasPrefix(key, seccompContainerPrefix):
			if !seccompValue(a[key]) {
				errs = append(errs, field.Invalid(path.Child(key), a[key], "must be a valid seccomp profile"))
			}
		case strings.HasPrefix(key, appArmorContainerPrefix):
			errs = append(errs, appArmorAnnotation(key, a[key], containers, path)...)
		}
	}
	return errs
}

// deletionCost is a number without a plus sign or zeros before it.
func deletionCost(text string) bool {
	if text == "" || text[0] == '+' || text[0] == '0' && text != "0" {
		return false
	}
	_, err := strconv.ParseInt(text, 10, 32)
	return err == nil
}

// podAnnotationsUpdate keeps what the node reads once: AppArmor's profiles and
// the mark of a mirror pod.
func podAnnotationsUpdate(p, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("metadata", "annotations")
	var errs field.ErrorList
	for _, key := range sortedKeys(old.Annotations) {
		if value, kept := p.Annotations[key]; !kept || value != old.Annotations[key] {
			errs = append(errs, keptAnnotation(key, "remove or update", path)...)
		}
	}
	for _, key := range sortedKeys(p.Annotations) {
		if _, had := old.Annotations[key]; !had {
			errs = append(errs, keptAnnotation(key, "add", path)...)
		}
	}
	return append(errs, podAnnotations(p.Annotations, &p.Spec, path)...)
}

func keptAnnotation(key, verb string, path *field.Path) field.ErrorList {
	switch {
	case strings.HasPrefix(key, appArmorContainerPrefix):
		return field.ErrorList{field.Forbidden(path.Key(key), "may not "+verb+" AppArmor annotations")}
	case key == corev1.MirrorPodAnnotationKey:
		return field.ErrorList{field.Forbidden(path.Key(key), "may not "+verb+" mirror pod annotation")}
	}
	return nil
}

func seccompValue(v string) bool {
	switch v {
	case corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault, corev1.SeccompProfileNameUnconfined:
		return true
	}
	name, local := strings.CutPrefix(v, corev1.SeccompLocalhostProfileNamePrefix)
	return local && len(descendingPath(name, field.NewPath(""))) == 0
}

func appArmorAnnotation(key, value string, containers sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	name := strings.TrimPrefix(key, appArmorContainerPrefix)
	if !containers.Has(name) {
		errs = append(errs, field.Invalid(path.Key(key), name, "container not found"))
	}
	switch {
	case value == "", value == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault, value == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
	case strings.HasPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix):
	default:
		errs = append(errs, field.Invalid(path.Key(key), value, fmt.Sprintf("invalid AppArmor profile name: %q", value)))
	}
	return errs
}
