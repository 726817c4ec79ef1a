package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// operatingSystem checks the pod's OS, and that it sets nothing which that
// OS does not have.
func (p *podCheck) operatingSystem(path *field.Path) field.ErrorList {
	os := p.spec.OS
	if os == nil {
		return nil
	}
	at := path.Child("os")
	if os.Name == "" {
		return field.ErrorList{field.Required(at.Child("name"), "")}
	}
	errs := inOrder(os.Name, at, corev1.Linux, corev1.Windows)
	switch os.Name {
	case corev1.Linux:
		return append(errs, p.linuxOnly(path)...)
	case corev1.Windows:
		return append(errs, p.windowsOnly(path)...)
	}
	return errs
}

func (p *podCheck) linuxOnly(path *field.Path) field.ErrorList {
	const why = "windows options cannot be set for a linux pod"
	var errs field.ErrorList
	if sc := p.spec.SecurityContext; sc != nil {
		errs = append(errs, forbidden(sc.WindowsOptions != nil, path.Child("securityContext", "windowsOptions"), why)...)
	}
	p.eachContainer(path, func(c *corev1.Container, at *field.Path) {
		if sc := c.SecurityContext; sc != nil {
			errs = append(errs, forbidden(sc.WindowsOptions != nil, at.Child("securityContext", "windowsOptions"), why)...)
		}
	})
	return errs
}

func (p *podCheck) windowsOnly(path *field.Path) field.ErrorList {
	const why = "cannot be set for a windows pod"
	at := path.Child("securityContext")
	var errs field.ErrorList
	no := func(set bool, name string) { errs = append(errs, forbidden(set, at.Child(name), why)...) }
	s := p.spec
	if sc := s.SecurityContext; sc != nil {
		no(sc.AppArmorProfile != nil, "appArmorProfile")
		no(sc.SELinuxOptions != nil, "seLinuxOptions")
		errs = append(errs, forbidden(s.HostUsers != nil, path.Child("hostUsers"), why)...)
		errs = append(errs, forbidden(s.HostPID, path.Child("hostPID"), why)...)
		errs = append(errs, forbidden(s.HostIPC, path.Child("hostIPC"), why)...)
		no(sc.SeccompProfile != nil, "seccompProfile")
		no(sc.FSGroup != nil, "fsGroup")
		no(sc.FSGroupChangePolicy != nil, "fsGroupChangePolicy")
		no(len(sc.Sysctls) > 0, "sysctls")
		errs = append(errs, forbidden(s.ShareProcessNamespace != nil, path.Child("shareProcessNamespace"), why)...)
		no(sc.RunAsUser != nil, "runAsUser")
		no(sc.RunAsGroup != nil, "runAsGroup")
		no(sc.SupplementalGroups != nil, "supplementalGroups")
		no(sc.SupplementalGroupsPolicy != nil, "supplementalGroupsPolicy")
		no(sc.SELinuxChangePolicy != nil, "seLinuxChangePolicy")
	}
	p.eachContainer(path, func(c *corev1.Container, cat *field.Path) {
		sc := c.SecurityContext
		if sc == nil {
			return
		}
		at = cat.Child("securityContext")
		no(sc.AppArmorProfile != nil, "appArmorProfile")
		no(sc.SELinuxOptions != nil, "seLinuxOptions")
		no(sc.SeccompProfile != nil, "seccompProfile")
		no(sc.Capabilities != nil, "capabilities")
		no(sc.ReadOnlyRootFilesystem != nil, "readOnlyRootFilesystem")
		no(sc.Privileged != nil, "privileged")
		no(sc.AllowPrivilegeEscalation != nil, "allowPrivilegeEscalation")
		no(sc.ProcMount != nil, "procMount")
		no(sc.RunAsUser != nil, "runAsUser")
		no(sc.RunAsGroup != nil, "runAsGroup")
	})
	return errs
}

// eachContainer visits the containers of all three lists.
func (p *podCheck) eachContainer(path *field.Path, visit func(*corev1.Container, *field.Path)) {
	for i := range p.spec.Containers {
		visit(&p.spec.Containers[i], path.Child("containers").Index(i))
	}
	for i := range p.spec.InitContainers {
		visit(&p.spec.InitContainers[i], path.Child("initContainers").Index(i))
	}
	for i := range p.spec.EphemeralContainers {
		c := corev1.Container(p.spec.EphemeralContainers[i].EphemeralContainerCommon)
		visit(&c, path.Child("ephemeralContainers").Index(i))
	}
}
