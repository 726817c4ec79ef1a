package core

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/knarr-io/knarr/internal/api/optional"
)

// DefaultPodTemplate fills unset fields of a template's pod spec.
func DefaultPodTemplate(t *corev1.PodTemplateSpec) { defaultPodSpec(&t.Spec) }

// defaultPodSpec fills unset fields of a pod spec, in a template or in a pod.
// What only a pod gets (requests from limits, host ports, service links) is
// in defaultPod.
func defaultPodSpec(s *corev1.PodSpec) {
	orSet(&s.DNSPolicy, corev1.DNSClusterFirst)
	orSet(&s.RestartPolicy, corev1.RestartPolicyAlways)
	orSet(&s.SchedulerName, corev1.DefaultSchedulerName)
	optional.Default(&s.SecurityContext, corev1.PodSecurityContext{})
	optional.Default(&s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	// The two names of the service account are one field with an old alias.
	orSet(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName

	defaultAffinity(s.Affinity)
	for i := range s.Volumes {
		defaultVolume(&s.Volumes[i])
	}
	for i := range s.InitContainers {
		defaultContainer(&s.InitContainers[i])
	}
	for i := range s.Containers {
		defaultContainer(&s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		c := corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon)
		defaultContainer(&c)
		s.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
	if s.Resources != nil {
		roundResources(s.Resources.Limits)
		roundResources(s.Resources.Requests)
	}
	roundResources(s.Overhead)
}

// defaultAffinity makes empty lists of namespaces unset ones: terms are
// compared as a whole.
func defaultAffinity(a *corev1.Affinity) {
	if a == nil {
		return
	}
	terms := func(must []corev1.PodAffinityTerm, weighted []corev1.WeightedPodAffinityTerm) {
		for i := range must {
			must[i].Namespaces = nilIfEmpty(must[i].Namespaces)
		}
		for i := range weighted {
			weighted[i].PodAffinityTerm.Namespaces = nilIfEmpty(weighted[i].PodAffinityTerm.Namespaces)
		}
	}
	if p := a.PodAffinity; p != nil {
		terms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		terms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func defaultPod(p *corev1.Pod) {
	// Host ports and requests come first: they look at what the user wrote.
	s := &p.Spec
	defaultPodSpec(s)
	if grace := s.TerminationGracePeriodSeconds; grace != nil && *grace < 0 {
		least := int64(1)
		s.TerminationGracePeriodSeconds = &least
	}
	optional.Default(&s.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			requestsFromLimits(&list[i].Resources)
			if s.HostNetwork {
				hostPorts(list[i].Ports)
			}
		}
	}
	defaultPodLevelResources(s)
	defaultPodStatus(&p.Status)
}

func requestsFromLimits(r *corev1.ResourceRequirements) {
	if r.Limits == nil {
		return
	}
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	for name, limit := range r.Limits {
		if _, ok := r.Requests[name]; !ok {
			r.Requests[name] = limit.DeepCopy()
		}
	}
}

func hostPorts(ports []corev1.ContainerPort) {
	for i := range ports {
		orSet(&ports[i].HostPort, ports[i].ContainerPort)
	}
}

// defaultPodLevelResources completes resources of the pod as a whole, where
// its spec begins them (KEP-2837): requests become what the containers ask
// for together, else the pod's limits.
func defaultPodLevelResources(s *corev1.PodSpec) {
	if s.Resources == nil {
		return
	}
	pod := &corev1.Pod{Spec: *s}
	limits := maps.Clone(s.Resources.Limits)
	for name, limit := range resourcehelper.AggregateContainerLimits(pod, resourcehelper.PodResourcesOptions{}) {
		if !isHugePage(name) {
			continue
		}
		if _, ok := limits[name]; !ok {
			limits = put(limits, name, limit.DeepCopy())
		}
	}
	s.Resources.Limits = limits
	if len(limits) == 0 {
		return
	}
	requests := maps.Clone(s.Resources.Requests)
	for name, q := range resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{}) {
		if _, ok := requests[name]; !ok && resourcehelper.IsSupportedPodLevelResource(name) {
			requests = put(requests, name, q.DeepCopy())
		}
	}
	for name, q := range limits {
		if _, ok := requests[name]; !ok && resourcehelper.IsSupportedPodLevelResource(name) {
			requests = put(requests, name, q.DeepCopy())
		}
	}
	s.Resources.Requests = requests
}

// defaultPodStatus keeps the old single address and the list of addresses
// the same; the single one wins.
func defaultPodStatus(st *corev1.PodStatus) {
	if st.PodIP != "" && (len(st.PodIPs) == 0 || st.PodIPs[0].IP != st.PodIP) {
		st.PodIPs = []corev1.PodIP{{IP: st.PodIP}}
	}
	if st.PodIP == "" && len(st.PodIPs) > 0 {
		st.PodIP = st.PodIPs[0].IP
	}
	roundResources(st.AllocatedResources)
	roundStatusResources(st.Resources)
	for _, list := range [][]corev1.ContainerStatus{st.InitContainerStatuses, st.ContainerStatuses, st.EphemeralContainerStatuses} {
		for i := range list {
			roundResources(list[i].AllocatedResources)
			roundStatusResources(list[i].Resources)
		}
	}
}

func roundStatusResources(r *corev1.ResourceRequirements) {
	if r != nil {
		roundResources(r.Limits)
		roundResources(r.Requests)
	}
}
