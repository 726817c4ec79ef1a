package node

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelet "k8s.io/kubelet/config/v1beta1"
)

// systemLogs is where machines keep their logs.
const systemLogs = "/var/log"

// settings is what the agent works by, in the words of upstream's
// configuration; fields that name nothing of ours are left out.
func settings(c *Config) *kubelet.KubeletConfiguration {
	yes, no := true, false
	k := c.Kubelet
	files, resolver, pids := int32(k.Logs.MaxFiles), c.ResolvConf, k.PodPIDs
	shown := int32(k.MaxImages)
	parallel, high, low := int32(k.ParallelPulls), int32(k.Images.High), int32(k.Images.Low)
	out := &kubelet.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: kubelet.SchemeGroupVersion.String(), Kind: "KubeletConfiguration"},
		Port:     c.Port,
		Authentication: kubelet.KubeletAuthentication{
			Webhook:   kubelet.KubeletWebhookAuthentication{Enabled: &yes, CacheTTL: metav1.Duration{Duration: 2 * time.Minute}},
			Anonymous: kubelet.KubeletAnonymousAuthentication{Enabled: &no},
		},
		Authorization: kubelet.KubeletAuthorization{Mode: kubelet.KubeletAuthorizationModeWebhook, Webhook: kubelet.KubeletWebhookAuthorization{
			CacheAuthorizedTTL: metav1.Duration{Duration: 5 * time.Minute}, CacheUnauthorizedTTL: metav1.Duration{Duration: 30 * time.Second}}},
		ClusterDomain: c.ClusterDomain, ClusterDNS: c.ClusterDNS, MaxPods: int32(k.MaxPods), PodsPerCore: int32(k.PodsPerCore), PodPidsLimit: &pids, PodCIDR: c.PodCIDR, ResolverConfig: &resolver,
		CgroupRoot: c.CgroupRoot, CgroupDriver: "cgroupfs", CgroupsPerQOS: &yes, ContainerRuntimeEndpoint: c.RuntimeEndpoint,
		SerializeImagePulls: &no, MaxParallelImagePulls: &parallel, ContainerLogMaxSize: resource.NewQuantity(k.Logs.MaxSize, resource.BinarySI).String(), ContainerLogMaxFiles: &files,
		EnableServer: &yes, EnableDebuggingHandlers: &yes, EnableSystemLogHandler: &yes, RegisterNode: &yes, RegisterWithTaints: c.Taints,
		StaticPodPath: c.StaticPods, CPUCFSQuota: &k.CPUQuota, SeccompDefault: &k.DefaultSeccomp, AllowedUnsafeSysctls: k.UnsafeSysctls,
		ImageGCHighThresholdPercent: &high, ImageGCLowThresholdPercent: &low,
		ImageMinimumGCAge: metav1.Duration{Duration: k.Images.MinAge}, ImageMaximumGCAge: metav1.Duration{Duration: k.Images.MaxAge},
		EvictionPressureTransitionPeriod:       metav1.Duration{Duration: k.Eviction.Transition},
		EvictionMaxPodGracePeriod:              int32(k.Eviction.MaxPodGrace / time.Second),
		ImagePullCredentialsVerificationPolicy: kubelet.ImagePullCredentialsVerificationPolicy(k.Verify.Policy),
		PreloadedImagesVerificationAllowlist:   k.Verify.Allowed, NodeLeaseDurationSeconds: k.LeaseSeconds,
		NodeStatusReportFrequency: metav1.Duration{Duration: k.ReportEvery},
		NodeStatusMaxImages:       &shown, ProviderID: k.ProviderID,
		ContainerLogMonitorInterval: &metav1.Duration{Duration: k.Logs.Every},
		CrashLoopBackOff:            kubelet.CrashLoopBackOffConfig{MaxContainerRestartPeriod: &metav1.Duration{Duration: k.CrashDelay}},
		EnforceNodeAllocatable:      []string{"none"}, PodLogsDir: c.LogDir,
	}
	if k.EnforcePods {
		out.EnforceNodeAllocatable = []string{"pods"}
	}
	for _, s := range k.Shutdown {
		out.ShutdownGracePeriodByPodPriority = append(out.ShutdownGracePeriodByPodPriority, kubelet.ShutdownGracePeriodByPodPriority{
			Priority: s.Priority, ShutdownGracePeriodSeconds: int64(s.Grace / time.Second)})
	}
	texts := k.Eviction.Texts()
	out.EvictionHard, out.EvictionSoft, out.EvictionSoftGracePeriod, out.EvictionMinimumReclaim = texts.Hard, texts.Soft, texts.SoftGrace, texts.Reclaim
	for name, quantity := range k.Reserved {
		if out.SystemReserved == nil {
			out.SystemReserved = map[string]string{}
		}
		out.SystemReserved[string(name)] = quantity.String()
	}
	return out
}
