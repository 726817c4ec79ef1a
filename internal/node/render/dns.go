package render

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits of a resolv.conf that glibc and upstream's validation agree on.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

// Resolver is the content of a resolv.conf.
type Resolver struct {
	Servers, Searches, Options []string
}

// ParseResolver reads a resolv.conf; unknown lines are skipped.
func ParseResolver(text string) Resolver {
	var r Resolver
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch {
		case fields[0] == "nameserver" && len(fields) > 1:
			r.Servers = append(r.Servers, fields[1])
		case fields[0] == "search":
			r.Searches = nil
			for _, s := range fields[1:] {
				if s != "." {
					s = strings.TrimSuffix(s, ".")
				}
				r.Searches = append(r.Searches, s)
			}
		case fields[0] == "options":
			r.Options = append(r.Options, fields[1:]...)
		}
	}
	return r
}

// Cluster is where pods find the cluster's DNS.
type Cluster struct {
	DNS    []string
	Domain string
}

// podDNS is a pod's DNS configuration by its policy (ClusterFirst, Default,
// None, ClusterFirstWithHostNet) and dnsConfig.
func podDNS(pod *corev1.Pod, cluster Cluster, host Resolver) *runtimeapi.DNSConfig {
	var r Resolver
	switch policy := pod.Spec.DNSPolicy; {
	case policy == corev1.DNSNone:
	case len(cluster.DNS) == 0, policy == corev1.DNSDefault, pod.Spec.HostNetwork && policy != corev1.DNSClusterFirstWithHostNet:
		r = host
	default:
		ns := pod.Namespace
		r.Servers = cluster.DNS
		if d := cluster.Domain; d != "" {
			r.Searches = []string{ns + ".svc." + d, "svc." + d, d}
		}
		r.Searches = append(r.Searches, host.Searches...)
		r.Options = []string{"ndots:5"}
	}
	if pod.Spec.DNSConfig != nil {
		r = merge(r, pod.Spec.DNSConfig)
	}
	return &runtimeapi.DNSConfig{
		Servers: first(unique(r.Servers), maxNameservers), Searches: boundSearches(unique(r.Searches)), Options: r.Options,
	}
}

func merge(r Resolver, extra *corev1.PodDNSConfig) Resolver {
	out := Resolver{
		Servers:  append(append([]string(nil), r.Servers...), extra.Nameservers...),
		Searches: append(append([]string(nil), r.Searches...), extra.Searches...),
	}
	given := map[string]bool{}
	for _, o := range extra.Options {
		given[o.Name] = true
	}
	for _, o := range r.Options {
		if name, _, _ := strings.Cut(o, ":"); !given[name] {
			out.Options = append(out.Options, o)
		}
	}
	for _, o := range extra.Options {
		if o.Value != nil && *o.Value != "" {
			out.Options = append(out.Options, o.Name+":"+*o.Value)
			continue
		}
		out.Options = append(out.Options, o.Name)
	}
	return out
}

func unique(in []string) []string {
	seen := make(map[string]bool, len(in))
	var out []string
	for _, s := range in {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func first(in []string, n int) []string {
	if len(in) > n {
		return in[:n]
	}
	return in
}

func boundSearches(in []string) []string {
	chars := 0
	for i, s := range first(in, maxSearches) {
		chars += len(s) + 1
		if chars-1 > maxSearchChars {
			return in[:i]
		}
	}
	return first(in, maxSearches)
}

// Hostname is the pod's host name and, where it has a subdomain, its fully
// qualified name.
func Hostname(pod *corev1.Pod, cluster Cluster) (name, fqdn string) {
	name = pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	if len(name) > validation.DNS1123LabelMaxLength {
		name = strings.TrimRight(name[:validation.DNS1123LabelMaxLength], "-.")
	}
	if pod.Spec.Subdomain != "" {
		fqdn = name + "." + pod.Spec.Subdomain + "." + pod.Namespace + ".svc." + cluster.Domain
	}
	return name, fqdn
}
