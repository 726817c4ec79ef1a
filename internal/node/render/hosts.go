package render

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// HostsInput is what a pod's /etc/hosts is made of.
type HostsInput struct {
	Pod     *corev1.Pod
	PodIPs  []string
	Cluster Cluster
	// NodeHosts is the node's own file, which pods on the node's network get.
	NodeHosts string
}

// Hosts is the content of the pod's /etc/hosts.
func Hosts(in HostsInput) string {
	var b strings.Builder
	if in.Pod.Spec.HostNetwork {
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.WriteString(in.NodeHosts)
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n")
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
		b.WriteString("fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n")
		name, fqdn := Hostname(in.Pod, in.Cluster)
		if in.Pod.Spec.HostnameOverride != nil {
			name, fqdn = *in.Pod.Spec.HostnameOverride, ""
		}
		for _, ip := range in.PodIPs {
			if fqdn != "" {
				b.WriteString(ip + "\t" + fqdn + "\t" + name + "\n")
				continue
			}
			b.WriteString(ip + "\t" + name + "\n")
		}
	}
	if len(in.Pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
		for _, a := range in.Pod.Spec.HostAliases {
			b.WriteString(a.IP + "\t" + strings.Join(a.Hostnames, "\t") + "\n")
		}
	}
	return b.String()
}
