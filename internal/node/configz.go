package node

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelet "k8s.io/kubelet/config/v1beta1"

	"github.com/knarr-io/knarr/internal/node/logs"
)

// systemLogs is where machines keep their logs.
const systemLogs = "/var/log"

// settings is what the agent works by, in the words of upstream's
// configuration; fields that name nothing of ours are left out.
func settings(c *Config) *kubelet.KubeletConfiguration {
	yes, no := true, false
	files, resolver := int32(logs.MaxFiles), c.ResolvConf
	parallel := int32(c.ParallelPulls)
	out := &kubelet.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: kubelet.SchemeGroupVersion.String(), Kind: "KubeletConfiguration"},
		Port:     c.Port,
		Authentication: kubelet.KubeletAuthentication{
			Webhook:   kubelet.KubeletWebhookAuthentication{Enabled: &yes, CacheTTL: metav1.Duration{Duration: 2 * time.Minute}},
			Anonymous: kubelet.KubeletAnonymousAuthentication{Enabled: &no},
		},
		Authorization: kubelet.KubeletAuthorization{Mode: kubelet.KubeletAuthorizationModeWebhook, Webhook: kubelet.KubeletWebhookAuthorization{
			CacheAuthorizedTTL: metav1.Duration{Duration: 5 * time.Minute}, CacheUnauthorizedTTL: metav1.Duration{Duration: 30 * time.Second}}},
		ClusterDomain: c.ClusterDomain, ClusterDNS: c.ClusterDNS, MaxPods: int32(c.MaxPods), PodCIDR: c.PodCIDR, ResolverConfig: &resolver,
		CgroupRoot: c.CgroupRoot, CgroupDriver: "cgroupfs", CgroupsPerQOS: &yes, ContainerRuntimeEndpoint: c.RuntimeEndpoint,
		SerializeImagePulls: &no, MaxParallelImagePulls: &parallel, ContainerLogMaxSize: "10Mi", ContainerLogMaxFiles: &files,
		EnableServer: &yes, EnableDebuggingHandlers: &yes, EnableSystemLogHandler: &yes, RegisterNode: &yes, RegisterWithTaints: c.Taints,
	}
	for name, quantity := range c.Reserved {
		if out.SystemReserved == nil {
			out.SystemReserved = map[string]string{}
		}
		out.SystemReserved[string(name)] = quantity.String()
	}
	return out
}
