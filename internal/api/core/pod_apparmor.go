package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// appArmorOutdated is the warning of an annotation, in upstream's words.
const appArmorOutdated = `%s: deprecated since v1.30; use the "appArmorProfile" field instead`

// appArmorFields gives containers the profiles that annotations name for them
// and that differ from the pod's (KEP-24), and warns of annotations that say
// more than the fields did.
func appArmorFields(p *corev1.Pod, warn func(string)) {
	if p.Spec.OS != nil && p.Spec.OS.Name == corev1.Windows {
		return
	}
	var whole *corev1.AppArmorProfile
	if p.Spec.SecurityContext != nil {
		whole = p.Spec.SecurityContext.AppArmorProfile
	}
	give := func(name string, sc **corev1.SecurityContext) {
		annotation, ok := p.Annotations[appArmorContainerPrefix+name]
		if !ok || *sc != nil && (*sc).AppArmorProfile != nil {
			return
		}
		profile := appArmorOf(annotation)
		if profile != nil && len(appArmorProfile(profile, nil)) > 0 {
			profile = nil
		}
		if profile != nil && apiequality.Semantic.DeepEqual(profile, whole) {
			return
		}
		if warn != nil {
			warn(fmt.Sprintf(appArmorOutdated, field.NewPath("metadata", "annotations").Key(appArmorContainerPrefix+name)))
		}
		if profile == nil {
			return
		}
		if *sc == nil {
			*sc = &corev1.SecurityContext{}
		}
		(*sc).AppArmorProfile = profile
	}
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			give(list[i].Name, &list[i].SecurityContext)
		}
	}
	for i := range p.Spec.EphemeralContainers {
		give(p.Spec.EphemeralContainers[i].Name, &p.Spec.EphemeralContainers[i].SecurityContext)
	}
}

// appArmorOf is the profile that an annotation's value stands for; nil where
// it stands for none.
func appArmorOf(annotation string) *corev1.AppArmorProfile {
	switch annotation {
	case corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	}
	name, local := strings.CutPrefix(annotation, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	if !local || name == "" {
		return nil
	}
	return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
}

// appArmorMatches wants annotations and fields of a new pod to agree.
func (p *podCheck) appArmorMatches(path *field.Path) field.ErrorList {
	if p.spec.OS != nil && p.spec.OS.Name == corev1.Windows {
		return nil
	}
	var whole *corev1.AppArmorProfile
	if p.spec.SecurityContext != nil {
		whole = p.spec.SecurityContext.AppArmorProfile
	}
	var errs field.ErrorList
	p.eachContainer(path, func(c *corev1.Container, at *field.Path) {
		is := whole
		if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			is = c.SecurityContext.AppArmorProfile
		}
		annotation, ok := p.meta.Annotations[appArmorContainerPrefix+c.Name]
		if ok && is != nil {
			errs = append(errs, profileMatches("apparmor", annotation, appArmorForm(is), at.Child("securityContext", "appArmorProfile"))...)
		}
	})
	return errs
}

// form is how an annotation must look to say what a field says.
type form struct {
	// any of these values, or prefix with the name behind it.
	values       []string
	prefix, name string
	// known is false of types that are refused elsewhere.
	known bool
}

func appArmorForm(a *corev1.AppArmorProfile) form {
	switch a.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		return form{known: true, values: []string{corev1.DeprecatedAppArmorBetaProfileNameUnconfined}}
	case corev1.AppArmorProfileTypeRuntimeDefault:
		return form{known: true, values: []string{corev1.DeprecatedAppArmorBetaProfileRuntimeDefault}}
	case corev1.AppArmorProfileTypeLocalhost:
		return form{known: true, prefix: corev1.DeprecatedAppArmorBetaProfileNamePrefix, name: nameOrNone(a.LocalhostProfile)}
	}
	return form{}
}

func seccompForm(s *corev1.SeccompProfile) form {
	switch s.Type {
	case corev1.SeccompProfileTypeUnconfined:
		return form{known: true, values: []string{corev1.SeccompProfileNameUnconfined}}
	case corev1.SeccompProfileTypeRuntimeDefault:
		return form{known: true, values: []string{corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault}}
	case corev1.SeccompProfileTypeLocalhost:
		return form{known: true, prefix: corev1.SeccompLocalhostProfileNamePrefix, name: nameOrNone(s.LocalhostProfile)}
	}
	return form{}
}

// nameOrNone is a name that no annotation has where there is none.
func nameOrNone(name *string) string {
	if name == nil {
		return "\x00"
	}
	return *name
}

func profileMatches(what, annotation string, f form, at *field.Path) field.ErrorList {
	if !f.known {
		return nil
	}
	if f.prefix == "" {
		for _, v := range f.values {
			if annotation == v {
				return nil
			}
		}
		return field.ErrorList{field.Forbidden(at.Child("type"), what+" type in annotation and field must match")}
	}
	name, local := strings.CutPrefix(annotation, f.prefix)
	switch {
	case !local:
		return field.ErrorList{field.Forbidden(at.Child("type"), what+" type in annotation and field must match")}
	case name != f.name:
		return field.ErrorList{field.Forbidden(at.Child("localhostProfile"), what+" profile in annotation and field must match")}
	}
	return nil
}

// seccompMatches is appArmorMatches for seccomp.
func (p *podCheck) seccompMatches(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if sc := p.spec.SecurityContext; sc != nil && sc.SeccompProfile != nil {
		if annotation, ok := p.meta.Annotations[seccompPod]; ok {
			errs = profileMatches("seccomp", annotation, seccompForm(sc.SeccompProfile), path.Child("securityContext", "seccompProfile"))
		}
	}
	p.eachContainer(path, func(c *corev1.Container, at *field.Path) {
		annotation, ok := p.meta.Annotations[seccompContainerPrefix+c.Name]
		if ok && c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil {
			errs = append(errs, profileMatches("seccomp", annotation, seccompForm(c.SecurityContext.SeccompProfile),
				at.Child("securityContext", "seccompProfile"))...)
		}
	})
	return errs
}
