package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validatePodStatus(p, old *corev1.Pod) field.ErrorList {
	path, s := field.NewPath("status"), &p.Status
	errs := podAnnotationsUpdate(p, old)
	errs = append(errs, podConditions(s.Conditions, path.Child("conditions"))...)
	errs = append(errs, nominated(p, old, path.Child("nominatedNodeName"))...)
	if s.ObservedGeneration < 0 {
		errs = append(errs, field.Invalid(path.Child("observedGeneration"), s.ObservedGeneration, "must be a non-negative integer"))
	}
	errs = append(errs, validate.Immutable(s.QOSClass, old.Status.QOSClass, path.Child("qosClass"))...)
	errs = append(errs, containerTransitions(p, old, path)...)
	errs = append(errs, claimStatuses(p, path.Child("resourceClaimStatuses"))...)
	errs = append(errs, extendedClaim(p, path.Child("extendedResourceClaimStatus"))...)
	errs = append(errs, nodeAllocatable(p, path.Child("nodeAllocatableResourceClaimStatuses"))...)
	errs = append(errs, statusIPs(p, old, path)...)
	for _, l := range statusLists(s) {
		errs = append(errs, containerStatuses(l.list, containersOf(&p.Spec, l.name), p.Spec.OS, path.Child(l.name))...)
	}
	return errs
}

// statusList is one of the three lists of containers' states.
type statusList struct {
	name string
	list []corev1.ContainerStatus
}

func statusLists(s *corev1.PodStatus) []statusList {
	return []statusList{
		{"containerStatuses", s.ContainerStatuses}, {"initContainerStatuses", s.InitContainerStatuses},
		{"ephemeralContainerStatuses", s.EphemeralContainerStatuses},
	}
}

// containersOf are the containers that a list of states is about; those of
// ephemeral containers, which have no resources, are left out.
func containersOf(s *corev1.PodSpec, list string) []corev1.Container {
	switch list {
	case "containerStatuses":
		return s.Containers
	case "initContainerStatuses":
		return s.InitContainers
	}
	return nil
}

func podConditions(list []corev1.PodCondition, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range list {
		if c.ObservedGeneration < 0 {
			errs = append(errs, field.Invalid(path.Index(i).Child("observedGeneration"), c.ObservedGeneration, "must be a non-negative integer"))
		}
		switch c.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			errs = append(errs, validate.QualifiedName(string(c.Type), path.Index(i).Child("Type"))...)
		}
	}
	return errs
}

// nominated checks the node that preemption makes room on, where it changed.
func nominated(p, old *corev1.Pod, path *field.Path) field.ErrorList {
	name := p.Status.NominatedNodeName
	if name == "" || name == old.Status.NominatedNodeName {
		return nil
	}
	errs := validate.Name(validate.Subdomain, name, path)
	return append(errs, forbidden(old.Spec.NodeName != "", path, "may not be set on pods that are already bound to a node")...)
}

// containerTransitions refuses what cannot happen: a container that ended for
// good and runs again.
func containerTransitions(p, old *corev1.Pod, path *field.Path) field.ErrorList {
	errs := ended(p.Status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses,
		func(string, int32) bool { return false }, path.Child("ephemeralContainerStatuses"))
	spec := &old.Spec
	if restartsAll(spec.InitContainers) || restartsAll(spec.Containers) {
		return errs
	}
	may := func(list []corev1.Container) func(string, int32) bool {
		return func(name string, code int32) bool {
			i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == name })
			return i >= 0 && restarts(&list[i], spec.RestartPolicy, code)
		}
	}
	errs = append(errs, ended(p.Status.ContainerStatuses, old.Status.ContainerStatuses, may(spec.Containers), path.Child("containerStatuses"))...)
	return append(errs, ended(p.Status.InitContainerStatuses, old.Status.InitContainerStatuses, may(spec.InitContainers), path.Child("initContainerStatuses"))...)
}

func restartsAll(list []corev1.Container) bool {
	return slices.ContainsFunc(list, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
			return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
		})
	})
}

// restarts tells whether a container that ended with the code starts again:
// by its rules, by its own policy, else by the pod's (KEP-5307).
func restarts(c *corev1.Container, policy corev1.RestartPolicy, code int32) bool {
	if c.RestartPolicy != nil {
		for _, r := range c.RestartPolicyRules {
			if r.ExitCodes == nil {
				continue
			}
			in := slices.Contains(r.ExitCodes.Values, code)
			if in == (r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) && r.Action == corev1.ContainerRestartRuleActionRestart {
				return true
			}
		}
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

func ended(now, before []corev1.ContainerStatus, may func(name string, code int32) bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, was := range before {
		if was.State.Terminated == nil || may(was.Name, was.State.Terminated.ExitCode) {
			continue
		}
		again := func(is corev1.ContainerStatus) bool { return is.Name == was.Name && is.State.Terminated == nil }
		if slices.ContainsFunc(now, again) {
			errs = append(errs, field.Forbidden(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
		}
	}
	return errs
}

func claimStatuses(p *corev1.Pod, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, s := range p.Status.ResourceClaimStatuses {
		at := path.Index(i)
		if !slices.ContainsFunc(p.Spec.ResourceClaims, func(c corev1.PodResourceClaim) bool { return c.Name == s.Name }) {
			errs = append(errs, field.Invalid(at.Child("name"), s.Name, "must match the name of an entry in `spec.resourceClaims`"))
		}
		if seen.Has(s.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), s.Name))
		}
		seen.Insert(s.Name)
		errs = append(errs, claimName(s.ResourceClaimName, at.Child("resourceClaimName"))...)
	}
	return errs
}

// nodeAllocatable checks what claims give of the node's own resources
// (KEP-5517).
func nodeAllocatable(p *corev1.Pod, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, s := range p.Status.NodeAllocatableResourceClaimStatuses {
		at, name := path.Index(i), s.ResourceClaimName
		if name == "" {
			errs = append(errs, field.Required(at.Child("resourceClaimName"), "must not be empty"))
		}
		named := func(of *string) bool { return of != nil && *of == name }
		if !slices.ContainsFunc(p.Spec.ResourceClaims, func(c corev1.PodResourceClaim) bool { return named(c.ResourceClaimName) }) &&
			!slices.ContainsFunc(p.Status.ResourceClaimStatuses, func(c corev1.PodResourceClaimStatus) bool { return named(c.ResourceClaimName) }) {
			errs = append(errs, field.Invalid(at.Child("resourceClaimName"), name, "no mapping found in pod reference"))
		}
		if len(s.Containers) == 0 {
			errs = append(errs, field.Required(at.Child("containers"), "must not be empty"))
		}
		if len(s.Resources) == 0 {
			errs = append(errs, field.Required(at.Child("resources"), "must not be empty"))
		}
		for _, r := range sortedKeys(s.Resources) {
			if strings.Contains(string(r), "/") && !strings.Contains(string(r), corev1.ResourceDefaultNamespacePrefix) {
				errs = append(errs, field.Invalid(at.Child("resources").Key(string(r)), r, "must be a node allocatable resource name"))
			}
			if q := s.Resources[r]; q.Sign() < 0 {
				errs = append(errs, field.Invalid(at.Child("resources").Key(string(r)), q.String(), "must be non-negative"))
			}
		}
	}
	return errs
}

// extendedClaim checks the claim that stands for a pod's extended resources
// (KEP-5004).
func extendedClaim(p *corev1.Pod, path *field.Path) field.ErrorList {
	s := p.Status.ExtendedResourceClaimStatus
	if s == nil {
		return nil
	}
	at := path.Child("requestMappings")
	var errs field.ErrorList
	if len(s.RequestMappings) == 0 {
		errs = append(errs, field.Required(at, "at least one request mapping is required"))
	}
	seen := sets.New[corev1.ContainerExtendedResourceRequest]()
	for i, m := range s.RequestMappings {
		idx := at.Index(i)
		errs = append(errs, mappedContainer(p, &m, idx)...)
		errs = append(errs, validate.DNS1123Label(m.RequestName, path.Child("requestName"))...)
		if seen.Has(m) {
			errs = append(errs, field.Duplicate(idx.Child("containerName"), m.ContainerName),
				field.Duplicate(idx.Child("resourceName"), m.ResourceName), field.Duplicate(idx.Child("requestName"), m.RequestName))
		}
		seen.Insert(m)
	}
	return append(errs, requiredName(validate.Subdomain, s.ResourceClaimName, path.Child("resourceClaimName"))...)
}

func mappedContainer(p *corev1.Pod, m *corev1.ContainerExtendedResourceRequest, at *field.Path) field.ErrorList {
	var found *corev1.Container
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			if list[i].Name == m.ContainerName {
				found = &list[i]
			}
		}
	}
	if found == nil {
		return field.ErrorList{field.Invalid(at.Child("containerName"), m.ContainerName,
			"must match the name of an entry in spec.initContainers.name or spec.containers.name")}
	}
	if _, asked := found.Resources.Requests[corev1.ResourceName(m.ResourceName)]; asked {
		return nil
	}
	return field.ErrorList{field.Invalid(at.Child("resourceName"), m.ResourceName, "must match the extended resource name of an entry "+
		"in spec.initContainers.resources.requests or spec.containers.resources.requests")}
}

func statusIPs(p, old *corev1.Pod, path *field.Path) field.ErrorList {
	pods := func(s *corev1.PodStatus) (out []string) {
		for _, ip := range s.PodIPs {
			out = append(out, ip.IP)
		}
		return out
	}
	hosts := func(s *corev1.PodStatus) (out []string) {
		for _, ip := range s.HostIPs {
			out = append(out, ip.IP)
		}
		return out
	}
	errs := ipPair(pods(&p.Status), pods(&old.Status), validate.Shown(p.Status.PodIPs), path.Child("podIPs"))
	list := hosts(&p.Status)
	if len(list) > 0 && list[0] != p.Status.HostIP {
		errs = append(errs, field.Invalid(path.Child("hostIPs").Index(0).Child("ip"), list[0], "must be equal to `hostIP`"))
	}
	return append(errs, ipPair(list, hosts(&old.Status), validate.Shown(p.Status.HostIPs), path.Child("hostIPs"))...)
}

// ipPair wants one address, or one of each family.
func ipPair(list, before []string, shown any, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range list {
		errs = append(errs, validate.IP(ip, path.Index(i), before...)...)
	}
	if len(list) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackIPStrings(list)
	if err != nil {
		errs = append(errs, field.InternalError(path, fmt.Errorf("failed to check for dual stack with error:%w", err)))
	}
	if !dual || len(list) > 2 {
		errs = append(errs, field.Invalid(path, shown, "may specify no more than one IP for each IP family"))
	}
	return errs
}

func warnPodStatus(p, _ *corev1.Pod, _ bool) []string {
	path := field.NewPath("status")
	var out []string
	for i, ip := range p.Status.PodIPs {
		out = append(out, validate.WarnIP(ip.IP, path.Child("podIPs").Index(i).Child("ip"))...)
	}
	for i, ip := range p.Status.HostIPs {
		out = append(out, validate.WarnIP(ip.IP, path.Child("hostIPs").Index(i).Child("ip"))...)
	}
	return out
}
