package core

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// hostNetwork wants host ports to be the container's own on the host's
// network.
func (p *podCheck) hostNetwork(path *field.Path) field.ErrorList {
	if !p.spec.HostNetwork {
		return nil
	}
	var errs field.ErrorList
	for i, c := range p.spec.Containers {
		for j, port := range c.Ports {
			// Templates get their host ports only when a pod is made.
			if port.HostPort == port.ContainerPort || (port.HostPort == 0 && !p.isPod) {
				continue
			}
			errs = append(errs, field.Invalid(path.Child("containers").Index(i).Child("ports").Index(j).Child("hostPort"),
				port.HostPort, "must match `containerPort` when `hostNetwork` is true"))
		}
	}
	return errs
}

func (p *podCheck) security(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if isTrue(p.spec.ShareProcessNamespace) && p.spec.HostPID {
		errs = append(errs, field.Invalid(path.Child("shareProcessNamespace"), true,
			"ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	sc := p.spec.SecurityContext
	if sc == nil {
		return errs
	}
	if sc.FSGroup != nil {
		errs = append(errs, validate.Each(validation.IsValidGroupID(*sc.FSGroup), *sc.FSGroup, path.Child("fsGroup"))...)
	}
	errs = append(errs, userAndGroup(sc.RunAsUser, sc.RunAsGroup, path)...)
	for i, g := range sc.SupplementalGroups {
		errs = append(errs, validate.Each(validation.IsValidGroupID(g), g, path.Child("supplementalGroups").Index(i))...)
	}
	errs = append(errs, p.sysctls(sc.Sysctls, path.Child("sysctls"))...)
	if sc.FSGroupChangePolicy != nil {
		errs = append(errs, validate.OneOf(*sc.FSGroupChangePolicy, path.Child("fsGroupChangePolicy"),
			corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	}
	errs = append(errs, seccompProfile(sc.SeccompProfile, path.Child("seccompProfile"))...)
	errs = append(errs, windowsOptions(sc.WindowsOptions, path.Child("windowsOptions"))...)
	errs = append(errs, appArmorProfile(sc.AppArmorProfile, path.Child("appArmorProfile"))...)
	if sc.SupplementalGroupsPolicy != nil {
		errs = append(errs, validate.OneOf(*sc.SupplementalGroupsPolicy, path.Child("supplementalGroupsPolicy"),
			corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	}
	if sc.SELinuxChangePolicy != nil {
		// MountOption is alpha beyond single-node volumes, and off.
		errs = append(errs, validate.OneOf(*sc.SELinuxChangePolicy, path.Child("seLinuxChangePolicy"),
			corev1.SELinuxChangePolicyRecursive)...)
	}
	return errs
}

const (
	sysctlPattern = `^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`
	maxSysctlName = 253
)

func (p *podCheck) sysctls(list []corev1.Sysctl, path *field.Path) field.ErrorList {
	if len(list) == 0 {
		return nil
	}
	var errs field.ErrorList
	pattern := regexp.MustCompile(sysctlPattern)
	seen := sets.New[string]()
	for i, s := range list {
		at := path.Index(i).Child("name")
		switch {
		case s.Name == "":
			errs = append(errs, field.Required(at, ""))
		case len(s.Name) > maxSysctlName || !pattern.MatchString(s.Name):
			errs = append(errs, field.Invalid(at, s.Name,
				fmt.Sprintf("must have at most %d characters and match regex %s", maxSysctlName, sysctlPattern)))
		case seen.Has(s.Name):
			errs = append(errs, field.Duplicate(at, s.Name))
		}
		errs = append(errs, p.hostSysctl(s.Name, at)...)
		seen.Insert(s.Name)
	}
	return errs
}

// hostSysctl refuses settings of a namespace that the pod shares with the host.
func (p *podCheck) hostSysctl(sysctl string, at *field.Path) field.ErrorList {
	name := dotted(sysctl)
	switch {
	case p.spec.HostNetwork && strings.HasPrefix(name, "net."):
		return field.ErrorList{field.Invalid(at, sysctl, "may not be specified when 'hostNetwork' is true")}
	case p.spec.HostIPC && (strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") ||
		name == "kernel.sem" || strings.HasPrefix(name, "fs.mqueue.")):
		return field.ErrorList{field.Invalid(at, sysctl, "may not be specified when 'hostIPC' is true")}
	}
	return nil
}

// dotted is a sysctl name with dots where it was written with slashes.
func dotted(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '.' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, name)
}

// hostUsers checks what a user namespace of the pod's own excludes. Some paths
// are upstream's internal names.
func (p *podCheck) hostUsers(path *field.Path) field.ErrorList {
	if p.spec.HostUsers == nil || *p.spec.HostUsers {
		return nil
	}
	const why = "when `hostUsers` is false"
	errs := forbidden(p.spec.HostNetwork, path.Child("hostNetwork"), why)
	errs = append(errs, forbidden(p.spec.HostPID, path.Child("HostPID"), why)...)
	errs = append(errs, forbidden(p.spec.HostIPC, path.Child("HostIPC"), why)...)
	p.eachContainer(path, func(c *corev1.Container, at *field.Path) {
		errs = append(errs, forbidden(len(c.VolumeDevices) > 0, at.Child("volumeDevices"), why)...)
	})
	return errs
}

// hostProcess checks Windows' HostProcess containers: all of a pod or none.
func (p *podCheck) hostProcess(path *field.Path) field.ErrorList {
	var whole *bool
	if sc := p.spec.SecurityContext; sc != nil && sc.WindowsOptions != nil {
		whole = sc.WindowsOptions.HostProcess
	}
	var errs field.ErrorList
	all, count := 0, 0
	p.eachContainer(path, func(c *corev1.Container, at *field.Path) {
		all++
		is := whole
		if sc := c.SecurityContext; sc != nil && sc.WindowsOptions != nil && sc.WindowsOptions.HostProcess != nil {
			is = sc.WindowsOptions.HostProcess
			if whole != nil && *whole != *is {
				errs = append(errs, field.Invalid(at.Child("securityContext", "windowsOptions", "hostProcess"), *is,
					fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", *whole)))
			}
		}
		if isTrue(is) {
			count++
		}
	})
	if count == 0 {
		return errs
	}
	if count != all {
		errs = append(errs, field.Invalid(path, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"))
	}
	if !p.spec.HostNetwork {
		errs = append(errs, field.Invalid(path.Child("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers"))
	}
	return errs
}
