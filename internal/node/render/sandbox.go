package render

import (
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// SandboxInput is what a sandbox configuration is made of.
type SandboxInput struct {
	Pod          *corev1.Pod
	Attempt      uint32
	LogRoot      string
	NodeName     string
	Cluster      Cluster
	HostResolver Resolver
	CgroupParent string
	// Profiles is the folder of localhost seccomp profiles.
	Profiles string
	// Users are the pod's own; nil for the node's.
	Users *Users
}

// Users are those of a pod's user namespace: from zero on in the pod, and from
// First on on the node.
type Users struct {
	First, Length uint32
}

func (u *Users) mapping() []*runtimeapi.IDMapping {
	return []*runtimeapi.IDMapping{{HostId: u.First, Length: u.Length}}
}

// Sandbox is the configuration of a pod's sandbox.
func Sandbox(in SandboxInput) *runtimeapi.PodSandboxConfig {
	pod := in.Pod
	cfg := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{
			Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: in.Attempt,
		},
		LogDirectory: PodLogDir(in.LogRoot, pod),
		DnsConfig:    podDNS(pod, in.Cluster, in.HostResolver),
		PortMappings: portMappings(pod),
		Labels:       sandboxLabels(pod),
		Annotations:  pod.Annotations,
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent:    in.CgroupParent,
			SecurityContext: sandboxSecurity(pod, in.Profiles, in.Users),
			Sysctls:         sysctls(pod),
		},
	}
	cfg.Hostname = sandboxHostname(pod, in.NodeName, in.Cluster)
	if pod.Spec.Overhead != nil {
		cfg.Linux.Overhead = linuxResources(pod.Spec.Overhead, pod.Spec.Overhead)
	}
	return cfg
}

// sandboxHostname is what hostname(1) says inside the pod.
func sandboxHostname(pod *corev1.Pod, node string, cluster Cluster) string {
	if pod.Spec.HostNetwork {
		return node
	}
	if pod.Spec.HostnameOverride != nil {
		return *pod.Spec.HostnameOverride
	}
	name, fqdn := Hostname(pod, cluster)
	if fqdn != "" && pod.Spec.SetHostnameAsFQDN != nil && *pod.Spec.SetHostnameAsFQDN {
		return fqdn
	}
	return name
}

func portMappings(pod *corev1.Pod) []*runtimeapi.PortMapping {
	var out []*runtimeapi.PortMapping
	for c := range Containers(pod) {
		for _, p := range c.Ports {
			if p.HostPort == 0 || pod.Spec.HostNetwork {
				continue
			}
			out = append(out, &runtimeapi.PortMapping{
				Protocol: protocol(p.Protocol), ContainerPort: p.ContainerPort, HostPort: p.HostPort, HostIp: p.HostIP,
			})
		}
	}
	return out
}

func protocol(p corev1.Protocol) runtimeapi.Protocol {
	switch p {
	case corev1.ProtocolUDP:
		return runtimeapi.Protocol_UDP
	case corev1.ProtocolSCTP:
		return runtimeapi.Protocol_SCTP
	}
	return runtimeapi.Protocol_TCP
}

func sysctls(pod *corev1.Pod) map[string]string {
	if pod.Spec.SecurityContext == nil || len(pod.Spec.SecurityContext.Sysctls) == 0 {
		return nil
	}
	out := make(map[string]string)
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		out[s.Name] = s.Value
	}
	return out
}

func sandboxSecurity(pod *corev1.Pod, profiles string, users *Users) *runtimeapi.LinuxSandboxSecurityContext {
	sc := &runtimeapi.LinuxSandboxSecurityContext{
		NamespaceOptions: namespaces(pod, "", users),
		Seccomp:          &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault},
		Privileged:       anyPrivileged(pod),
	}
	psc := pod.Spec.SecurityContext
	if psc == nil {
		return sc
	}
	if psc.SeccompProfile != nil {
		sc.Seccomp = seccomp(psc.SeccompProfile, profiles)
	}
	sc.Apparmor = apparmor(psc.AppArmorProfile)
	sc.SelinuxOptions = selinux(psc.SELinuxOptions)
	if psc.RunAsUser != nil {
		sc.RunAsUser = &runtimeapi.Int64Value{Value: *psc.RunAsUser}
	}
	if psc.RunAsGroup != nil {
		sc.RunAsGroup = &runtimeapi.Int64Value{Value: *psc.RunAsGroup}
	}
	sc.SupplementalGroups, sc.SupplementalGroupsPolicy = groups(psc)
	return sc
}

func anyPrivileged(pod *corev1.Pod) bool {
	for c := range Containers(pod) {
		if c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged {
			return true
		}
	}
	return false
}

// namespaces says which of the node's namespaces the pod shares; target is
// the container whose processes an ephemeral container joins.
func namespaces(pod *corev1.Pod, target string, users *Users) *runtimeapi.NamespaceOption {
	ns := &runtimeapi.NamespaceOption{
		Network: runtimeapi.NamespaceMode_POD, Ipc: runtimeapi.NamespaceMode_POD, Pid: runtimeapi.NamespaceMode_CONTAINER,
	}
	if pod.Spec.HostNetwork {
		ns.Network = runtimeapi.NamespaceMode_NODE
	}
	if users != nil {
		ns.UsernsOptions = &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: users.mapping(), Gids: users.mapping()}
	}
	if pod.Spec.HostIPC {
		ns.Ipc = runtimeapi.NamespaceMode_NODE
	}
	switch {
	case pod.Spec.HostPID:
		ns.Pid = runtimeapi.NamespaceMode_NODE
	case target != "":
		ns.Pid, ns.TargetId = runtimeapi.NamespaceMode_TARGET, target
	case pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace:
		ns.Pid = runtimeapi.NamespaceMode_POD
	}
	return ns
}
