package validate

import (
	corev1 "k8s.io/api/core/v1"
)

// shownSecurity and shownSpec have the layout in which upstream's error texts
// print a pod spec: the host's namespaces stand with the security context.
type shownSecurity struct {
	HostNetwork              bool
	HostPID                  bool
	HostIPC                  bool
	ShareProcessNamespace    *bool
	HostUsers                *bool
	SELinuxOptions           *corev1.SELinuxOptions
	WindowsOptions           *corev1.WindowsSecurityContextOptions
	RunAsUser                *int64
	RunAsGroup               *int64
	RunAsNonRoot             *bool
	SupplementalGroups       []int64
	SupplementalGroupsPolicy *corev1.SupplementalGroupsPolicy
	FSGroup                  *int64
	FSGroupChangePolicy      *corev1.PodFSGroupChangePolicy
	Sysctls                  []corev1.Sysctl
	SeccompProfile           *corev1.SeccompProfile
	AppArmorProfile          *corev1.AppArmorProfile
	SELinuxChangePolicy      *corev1.PodSELinuxChangePolicy
}

type shownSpec struct {
	Volumes                       []corev1.Volume
	InitContainers                []corev1.Container
	Containers                    []corev1.Container
	EphemeralContainers           []corev1.EphemeralContainer
	RestartPolicy                 corev1.RestartPolicy
	TerminationGracePeriodSeconds *int64
	ActiveDeadlineSeconds         *int64
	DNSPolicy                     corev1.DNSPolicy
	NodeSelector                  map[string]string
	ServiceAccountName            string
	AutomountServiceAccountToken  *bool
	NodeName                      string
	SecurityContext               *shownSecurity
	ImagePullSecrets              []corev1.LocalObjectReference
	Hostname                      string
	Subdomain                     string
	SetHostnameAsFQDN             *bool
	Affinity                      *corev1.Affinity
	SchedulerName                 string
	Tolerations                   []corev1.Toleration
	HostAliases                   []corev1.HostAlias
	PriorityClassName             string
	Priority                      *int32
	PreemptionPolicy              *corev1.PreemptionPolicy
	DNSConfig                     *corev1.PodDNSConfig
	ReadinessGates                []corev1.PodReadinessGate
	RuntimeClassName              *string
	Overhead                      corev1.ResourceList
	EnableServiceLinks            *bool
	TopologySpreadConstraints     []corev1.TopologySpreadConstraint
	OS                            *corev1.PodOS
	SchedulingGates               []corev1.PodSchedulingGate
	ResourceClaims                []corev1.PodResourceClaim
	Resources                     *corev1.ResourceRequirements
	HostnameOverride              *string
	SchedulingGroup               *corev1.PodSchedulingGroup
}

func showPodSpec(s corev1.PodSpec) *shownSpec {
	sc := s.SecurityContext
	if sc == nil {
		sc = &corev1.PodSecurityContext{}
	}
	return &shownSpec{
		Volumes: s.Volumes, InitContainers: s.InitContainers, Containers: s.Containers,
		EphemeralContainers: s.EphemeralContainers, RestartPolicy: s.RestartPolicy,
		TerminationGracePeriodSeconds: s.TerminationGracePeriodSeconds, ActiveDeadlineSeconds: s.ActiveDeadlineSeconds,
		DNSPolicy: s.DNSPolicy, NodeSelector: s.NodeSelector, ServiceAccountName: s.ServiceAccountName,
		AutomountServiceAccountToken: s.AutomountServiceAccountToken, NodeName: s.NodeName,
		SecurityContext: &shownSecurity{
			HostNetwork: s.HostNetwork, HostPID: s.HostPID, HostIPC: s.HostIPC,
			ShareProcessNamespace: s.ShareProcessNamespace, HostUsers: s.HostUsers,
			SELinuxOptions: sc.SELinuxOptions, WindowsOptions: sc.WindowsOptions,
			RunAsUser: sc.RunAsUser, RunAsGroup: sc.RunAsGroup, RunAsNonRoot: sc.RunAsNonRoot,
			SupplementalGroups: sc.SupplementalGroups, SupplementalGroupsPolicy: sc.SupplementalGroupsPolicy,
			FSGroup: sc.FSGroup, FSGroupChangePolicy: sc.FSGroupChangePolicy, Sysctls: sc.Sysctls,
			SeccompProfile: sc.SeccompProfile, AppArmorProfile: sc.AppArmorProfile, SELinuxChangePolicy: sc.SELinuxChangePolicy,
		},
		ImagePullSecrets: s.ImagePullSecrets, Hostname: s.Hostname, Subdomain: s.Subdomain,
		SetHostnameAsFQDN: s.SetHostnameAsFQDN, Affinity: s.Affinity, SchedulerName: s.SchedulerName,
		Tolerations: s.Tolerations, HostAliases: s.HostAliases, PriorityClassName: s.PriorityClassName,
		Priority: s.Priority, PreemptionPolicy: s.PreemptionPolicy, DNSConfig: s.DNSConfig,
		ReadinessGates: s.ReadinessGates, RuntimeClassName: s.RuntimeClassName, Overhead: s.Overhead,
		EnableServiceLinks: s.EnableServiceLinks, TopologySpreadConstraints: s.TopologySpreadConstraints, OS: s.OS,
		SchedulingGates: s.SchedulingGates, ResourceClaims: s.ResourceClaims, Resources: s.Resources,
		HostnameOverride: s.HostnameOverride, SchedulingGroup: s.SchedulingGroup,
	}
}
