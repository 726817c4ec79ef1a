package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// commonContainer checks what containers of all three lists share.
func (p *podCheck) commonContainer(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else {
		errs = append(errs, validate.DNS1123Label(c.Name, path.Child("name"))...)
	}
	if c.Image == "" {
		errs = append(errs, field.Required(path.Child("image"), ""))
	}
	errs = append(errs, requiredInOrder(c.TerminationMessagePolicy, path.Child("terminationMessagePolicy"),
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, containerPorts(c.Ports, path.Child("ports"))...)
	errs = append(errs, p.env(c.Env, path.Child("env"))...)
	errs = append(errs, envFrom(c.EnvFrom, path.Child("envFrom"))...)
	errs = append(errs, p.volumeMounts(c, path.Child("volumeMounts"))...)
	errs = append(errs, p.volumeDevices(c, path.Child("volumeDevices"))...)
	errs = append(errs, validate.RequiredOneOf(c.ImagePullPolicy, path.Child("imagePullPolicy"),
		corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, p.containerResources(&c.Resources, path.Child("resources"))...)
	errs = append(errs, p.resizePolicy(c.ResizePolicy, path.Child("resizePolicy"))...)
	return append(errs, p.containerSecurity(c.SecurityContext, path.Child("securityContext"))...)
}

// requiredInOrder is validate.RequiredOneOf for lists that upstream names in
// another order than the alphabet's.
func requiredInOrder[T ~string](value T, path *field.Path, supported ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return inOrder(value, path, supported...)
}

func inOrder[T ~string](value T, path *field.Path, supported ...T) field.ErrorList {
	for _, s := range supported {
		if value == s {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, value, supported)}
}

func (p *podCheck) containers(path *field.Path) field.ErrorList {
	if len(p.spec.Containers) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range p.spec.Containers {
		c, at := &p.spec.Containers[i], path.Index(i)
		errs = append(errs, p.commonContainer(c, at)...)
		if names.Has(c.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
		names.Insert(c.Name)
		errs = append(errs, p.lifecycleAndProbes(c, at)...)
		errs = append(errs, containerRestart(c, at)...)
	}
	return append(errs, hostPortConflicts(p.spec.Containers, path)...)
}

func (p *podCheck) initContainers(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for _, c := range p.spec.Containers {
		names.Insert(c.Name)
	}
	for i := range p.spec.InitContainers {
		c, at := &p.spec.InitContainers[i], path.Index(i)
		errs = append(errs, p.commonContainer(c, at)...)
		errs = append(errs, initContainerRestart(c, at)...)
		if names.Has(c.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		} else if c.Name != "" {
			names.Insert(c.Name)
		}
		errs = append(errs, hostPortConflicts([]corev1.Container{*c}, path)...)
		if sidecar(c) {
			errs = append(errs, p.lifecycleAndProbes(c, at)...)
			continue
		}
		const why = "may not be set for init containers without restartPolicy=Always"
		errs = append(errs, forbidden(c.Lifecycle != nil, at.Child("lifecycle"), why)...)
		errs = append(errs, forbidden(c.LivenessProbe != nil, at.Child("livenessProbe"), why)...)
		errs = append(errs, forbidden(c.ReadinessProbe != nil, at.Child("readinessProbe"), why)...)
		errs = append(errs, forbidden(c.StartupProbe != nil, at.Child("startupProbe"), why)...)
		if !restartsOnResize(p.old) {
			errs = append(errs, noRestartOnResize(c, at)...)
		}
	}
	return errs
}

// noRestartOnResize is for init containers that end by themselves.
func noRestartOnResize(c *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, r := range c.ResizePolicy {
		if r.RestartPolicy == corev1.RestartContainer {
			errs = append(errs, field.Invalid(at.Child("resizePolicy").Index(i).Child("restartPolicy"), r.RestartPolicy,
				"must not be set to 'RestartContainer' for non-sidecar initContainers"))
		}
	}
	return errs
}

func restartsOnResize(old *corev1.PodSpec) bool {
	return old != nil && slices.ContainsFunc(old.InitContainers, func(c corev1.Container) bool {
		return !sidecar(&c) && slices.ContainsFunc(c.ResizePolicy, func(r corev1.ContainerResizePolicy) bool {
			return r.RestartPolicy == corev1.RestartContainer
		})
	})
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func forbidden(set bool, path *field.Path, why string) field.ErrorList {
	if !set {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, why)}
}

// imagesWithoutSpace holds for pods only: a blank image is a known
// placeholder in templates.
func imagesWithoutSpace(list []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range list {
		errs = append(errs, imageWithoutSpace(c.Image, path.Index(i).Child("image"))...)
	}
	return errs
}

func imageWithoutSpace(image string, path *field.Path) field.ErrorList {
	if image == strings.TrimSpace(image) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, image, "must not have leading or trailing whitespace")}
}

func containerPorts(ports []corev1.ContainerPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, port := range ports {
		at := path.Index(i)
		if port.Name != "" {
			why := validation.IsValidPortName(port.Name)
			errs = append(errs, validate.Each(why, port.Name, at.Child("name"))...)
			if len(why) == 0 && names.Has(port.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
			}
			names.Insert(port.Name)
		}
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, validate.Port(int(port.ContainerPort), at.Child("containerPort"))...)
		}
		if port.HostPort != 0 {
			errs = append(errs, validate.Port(int(port.HostPort), at.Child("hostPort"))...)
		}
		errs = append(errs, validate.RequiredOneOf(port.Protocol, at.Child("protocol"),
			corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
	}
	return errs
}

func hostPortConflicts(list []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	taken := sets.New[string]()
	for i, c := range list {
		for j, port := range c.Ports {
			if port.HostPort == 0 {
				continue
			}
			at := path.Index(i).Child("ports").Index(j).Child("hostPort")
			key := hostPortKey(port)
			if taken.Has(key) {
				errs = append(errs, field.Duplicate(at, key))
			}
			taken.Insert(key)
		}
	}
	return errs
}
