package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func (p *podCheck) containerSecurity(sc *corev1.SecurityContext, path *field.Path) field.ErrorList {
	if sc == nil {
		return nil
	}
	var errs field.ErrorList
	errs = append(errs, userAndGroup(sc.RunAsUser, sc.RunAsGroup, path)...)
	errs = append(errs, p.procMount(sc.ProcMount, path.Child("procMount"))...)
	errs = append(errs, seccompProfile(sc.SeccompProfile, path.Child("seccompProfile"))...)
	if sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
		if isTrue(sc.Privileged) {
			errs = append(errs, field.Invalid(path, validate.Shown(sc),
				"cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
		}
		if sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN") {
			errs = append(errs, field.Invalid(path, validate.Shown(sc),
				"cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
		}
	}
	errs = append(errs, windowsOptions(sc.WindowsOptions, path.Child("windowsOptions"))...)
	return append(errs, appArmorProfile(sc.AppArmorProfile, path.Child("appArmorProfile"))...)
}

func userAndGroup(user, group *int64, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if user != nil {
		errs = append(errs, validate.Each(validation.IsValidUserID(*user), *user, path.Child("runAsUser"))...)
	}
	if group != nil {
		errs = append(errs, validate.Each(validation.IsValidGroupID(*group), *group, path.Child("runAsGroup"))...)
	}
	return errs
}

func (p *podCheck) procMount(m *corev1.ProcMountType, path *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	errs := validate.OneOf(*m, path, corev1.DefaultProcMount, corev1.UnmaskedProcMount)
	if *m == corev1.UnmaskedProcMount && (p.spec.HostUsers == nil || *p.spec.HostUsers) {
		errs = append(errs, field.Invalid(path, *m, "`hostUsers` must be false to use `Unmasked`"))
	}
	return errs
}

func seccompProfile(s *corev1.SeccompProfile, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	at := path.Child("localhostProfile")
	var errs field.ErrorList
	switch s.Type {
	case "":
		errs = append(errs, field.Required(path.Child("type"), "type is required when seccompProfile is set"))
	case corev1.SeccompProfileTypeLocalhost:
		if s.LocalhostProfile == nil {
			return field.ErrorList{field.Required(at, "must be set when seccomp type is Localhost")}
		}
		return descendingPath(*s.LocalhostProfile, at)
	default:
		errs = append(errs, validate.OneOf(s.Type, path.Child("type"), corev1.SeccompProfileTypeLocalhost,
			corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)...)
	}
	if s.LocalhostProfile != nil {
		errs = append(errs, field.Invalid(at, validate.Shown(s), "can only be set when seccomp type is Localhost"))
	}
	return errs
}

const maxAppArmorProfile = 4095

func appArmorProfile(a *corev1.AppArmorProfile, path *field.Path) field.ErrorList {
	if a == nil {
		return nil
	}
	const mustSet = "must be set when AppArmor type is Localhost"
	at := path.Child("localhostProfile")
	switch a.Type {
	case "":
		return field.ErrorList{field.Required(path.Child("type"), "type is required when appArmorProfile is set")}
	case corev1.AppArmorProfileTypeLocalhost:
		if a.LocalhostProfile == nil {
			return field.ErrorList{field.Required(at, mustSet)}
		}
		var errs field.ErrorList
		switch name := *a.LocalhostProfile; {
		case strings.TrimSpace(name) != name:
			errs = append(errs, field.Invalid(at, name, "must not be padded with whitespace"))
		case name == "":
			errs = append(errs, field.Required(at, mustSet))
		}
		if len(*a.LocalhostProfile) > maxAppArmorProfile {
			errs = append(errs, field.TooLong(at, "", maxAppArmorProfile))
		}
		return errs
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if a.LocalhostProfile != nil {
			return field.ErrorList{field.Invalid(at, *a.LocalhostProfile, "can only be set when AppArmor type is Localhost")}
		}
		return nil
	}
	return inOrder(a.Type, path.Child("type"), corev1.AppArmorProfileTypeLocalhost,
		corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
}
