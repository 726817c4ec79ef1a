package nodeconfig

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/knarr-io/knarr/internal/node/eviction"
	"github.com/knarr-io/knarr/internal/node/images"
)

// resolve checks a file's fields and completes them with the defaults.
func resolve(c *kubeletconfig.KubeletConfiguration) (*Settings, error) {
	s := Default()
	for _, step := range []func(*Settings, *kubeletconfig.KubeletConfiguration) error{
		resolvePods, resolveEviction, resolveImages, resolveLogs, resolveShutdown, resolvePulls, resolveNames, resolveStatus,
	} {
		if err := step(s, c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func bad(field string, value any, want string) error {
	return fmt.Errorf("%s: Invalid value: %v: %s", field, value, want)
}

func resolvePods(s *Settings, c *kubeletconfig.KubeletConfiguration) error {
	s.StaticPods = c.StaticPodPath
	if c.MaxPods < 0 || c.PodsPerCore < 0 {
		return bad("maxPods, podsPerCore", fmt.Sprint(c.MaxPods, ", ", c.PodsPerCore), "want numbers that are not negative")
	}
	if c.MaxPods > 0 {
		s.MaxPods = int64(c.MaxPods)
	}
	s.PodsPerCore = int64(c.PodsPerCore)
	if c.PodPidsLimit != nil {
		s.PodPIDs = *c.PodPidsLimit
	}
	s.CPUQuota = c.CPUCFSQuota == nil || *c.CPUCFSQuota
	s.DefaultSeccomp = c.SeccompDefault != nil && *c.SeccompDefault
	s.UnsafeSysctls = c.AllowedUnsafeSysctls
	if c.EnforceNodeAllocatable != nil {
		s.EnforcePods = slices.Contains(c.EnforceNodeAllocatable, "pods")
	}
	for _, what := range c.EnforceNodeAllocatable {
		if what != "pods" && what != "none" {
			return bad("enforceNodeAllocatable", what, "only pods and none are enforced here")
		}
	}
	return reserve(s, map[string]map[string]string{"systemReserved": c.SystemReserved, "kubeReserved": c.KubeReserved})
}

// reserve sums up what is kept from pods.
func reserve(s *Settings, fields map[string]map[string]string) error {
	s.Reserved = corev1.ResourceList{}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		for _, name := range slices.Sorted(maps.Keys(fields[field])) {
			text, at := fields[field][name], fmt.Sprintf("%s[%s]", field, name)
			switch corev1.ResourceName(name) {
			case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, "pid":
			default:
				return bad(at, text, "only cpu, memory, ephemeral-storage and pid can be reserved")
			}
			q, err := resource.ParseQuantity(text)
			if err != nil || q.Sign() < 0 {
				return bad(at, text, "want a quantity that is not negative")
			}
			if name == "pid" {
				continue // no resource of the node: its own processes are not bounded
			}
			sum := s.Reserved[corev1.ResourceName(name)]
			sum.Add(q)
			s.Reserved[corev1.ResourceName(name)] = sum
		}
	}
	return nil
}

func resolveEviction(s *Settings, c *kubeletconfig.KubeletConfiguration) (err error) {
	s.Eviction.Thresholds, err = eviction.Parse(eviction.Texts{
		Hard: c.EvictionHard, Soft: c.EvictionSoft, SoftGrace: c.EvictionSoftGracePeriod, Reclaim: c.EvictionMinimumReclaim,
		Merge: c.MergeDefaultEvictionSettings != nil && *c.MergeDefaultEvictionSettings,
	})
	if err != nil {
		return err
	}
	if c.EvictionMaxPodGracePeriod < 0 {
		return bad("evictionMaxPodGracePeriod", c.EvictionMaxPodGracePeriod, "want seconds that are not negative")
	}
	s.Eviction.MaxPodGrace = time.Duration(c.EvictionMaxPodGracePeriod) * time.Second
	return positive("evictionPressureTransitionPeriod", c.EvictionPressureTransitionPeriod, &s.Eviction.Transition)
}

// positive takes a duration that is set.
func positive(field string, d metav1.Duration, to *time.Duration) error {
	if d.Duration < 0 {
		return bad(field, d.Duration, "want a duration that is not negative")
	}
	if d.Duration > 0 {
		*to = d.Duration
	}
	return nil
}

func resolveImages(s *Settings, c *kubeletconfig.KubeletConfiguration) error {
	// Who names a share means it, however large the disk.
	if c.ImageGCHighThresholdPercent != nil || c.ImageGCLowThresholdPercent != nil {
		s.Images.Enough = 0
	}
	if c.ImageGCHighThresholdPercent != nil {
		s.Images.High = int64(*c.ImageGCHighThresholdPercent)
	}
	if c.ImageGCLowThresholdPercent != nil {
		s.Images.Low = int64(*c.ImageGCLowThresholdPercent)
	}
	if s.Images.High < 0 || s.Images.High > 100 || s.Images.Low < 0 || s.Images.Low >= s.Images.High {
		return bad("imageGCLowThresholdPercent, imageGCHighThresholdPercent", fmt.Sprint(s.Images.Low, ", ", s.Images.High),
			"want percentages from 0 to 100, the first below the second")
	}
	if err := positive("imageMaximumGCAge", c.ImageMaximumGCAge, &s.Images.MaxAge); err != nil {
		return err
	}
	return positive("imageMinimumGCAge", c.ImageMinimumGCAge, &s.Images.MinAge)
}

func resolveLogs(s *Settings, c *kubeletconfig.KubeletConfiguration) error {
	if c.ContainerLogMaxSize != "" {
		q, err := resource.ParseQuantity(c.ContainerLogMaxSize)
		if err != nil || q.Value() <= 0 {
			return bad("containerLogMaxSize", c.ContainerLogMaxSize, "want a quantity above zero")
		}
		s.Logs.MaxSize = q.Value()
	}
	if c.ContainerLogMaxFiles != nil {
		if *c.ContainerLogMaxFiles < 2 {
			return bad("containerLogMaxFiles", *c.ContainerLogMaxFiles, "want two files or more")
		}
		s.Logs.MaxFiles = int(*c.ContainerLogMaxFiles)
	}
	if d := c.ContainerLogMonitorInterval; d != nil {
		if d.Duration < 3*time.Second {
			return bad("containerLogMonitorInterval", d.Duration, "want three seconds or more")
		}
		s.Logs.Every = d.Duration
	}
	return nil
}

// resolveShutdown turns the two grace periods into one list by priority.
func resolveShutdown(s *Settings, c *kubeletconfig.KubeletConfiguration) error {
	all, critical := c.ShutdownGracePeriod.Duration, c.ShutdownGracePeriodCriticalPods.Duration
	if len(c.ShutdownGracePeriodByPodPriority) > 0 && (all != 0 || critical != 0) {
		return bad("shutdownGracePeriodByPodPriority", "", "cannot be set together with shutdownGracePeriod")
	}
	if all < 0 || critical < 0 || critical > all {
		return bad("shutdownGracePeriodCriticalPods", critical, "want a duration from zero to shutdownGracePeriod")
	}
	if all > 0 {
		s.Shutdown = []ShutdownGrace{{Priority: math.MinInt32, Grace: all - critical}, {Priority: 2_000_000_000, Grace: critical}}
		return nil
	}
	for _, p := range c.ShutdownGracePeriodByPodPriority {
		if p.ShutdownGracePeriodSeconds < 0 {
			return bad("shutdownGracePeriodByPodPriority", p.ShutdownGracePeriodSeconds, "want seconds that are not negative")
		}
		s.Shutdown = append(s.Shutdown, ShutdownGrace{Priority: p.Priority, Grace: time.Duration(p.ShutdownGracePeriodSeconds) * time.Second})
	}
	slices.SortFunc(s.Shutdown, func(a, b ShutdownGrace) int { return cmp.Compare(a.Priority, b.Priority) })
	return nil
}

func resolvePulls(s *Settings, c *kubeletconfig.KubeletConfiguration) error {
	serial := c.SerializeImagePulls != nil && *c.SerializeImagePulls
	if n := c.MaxParallelImagePulls; n != nil {
		if *n < 1 || serial && *n > 1 {
			return bad("maxParallelImagePulls", *n, "want one or more, and one where serializeImagePulls is true")
		}
		s.ParallelPulls = int(*n)
	}
	if serial {
		s.ParallelPulls = 1
	}
	if d := c.CrashLoopBackOff.MaxContainerRestartPeriod; d != nil {
		if d.Duration < time.Second || d.Duration > 5*time.Minute {
			return bad("crashLoopBackOff.maxContainerRestartPeriod", d.Duration, "want a duration from 1s to 5m0s")
		}
		s.CrashDelay = d.Duration
	}
	verify, err := images.NewVerification(string(c.ImagePullCredentialsVerificationPolicy), c.PreloadedImagesVerificationAllowlist)
	if err != nil {
		return err
	}
	s.Verify = verify
	return nil
}

func resolveNames(s *Settings, c *kubeletconfig.KubeletConfiguration) error {
	for _, text := range c.ClusterDNS {
		if _, err := netip.ParseAddr(text); err != nil {
			return bad("clusterDNS", text, "want an address")
		}
	}
	s.ClusterDNS, s.ClusterDomain, s.ProviderID = c.ClusterDNS, c.ClusterDomain, c.ProviderID
	if c.ResolverConfig != nil {
		s.ResolvConf = *c.ResolverConfig
	}
	return nil
}

func resolveStatus(s *Settings, c *kubeletconfig.KubeletConfiguration) error {
	if c.NodeLeaseDurationSeconds < 0 {
		return bad("nodeLeaseDurationSeconds", c.NodeLeaseDurationSeconds, "want seconds above zero")
	}
	if c.NodeLeaseDurationSeconds > 0 {
		s.LeaseSeconds = c.NodeLeaseDurationSeconds
	}
	if c.NodeStatusMaxImages != nil {
		if *c.NodeStatusMaxImages < -1 {
			return bad("nodeStatusMaxImages", *c.NodeStatusMaxImages, "want a number, or -1 for all")
		}
		s.MaxImages = int(*c.NodeStatusMaxImages)
	}
	return positive("nodeStatusReportFrequency", c.NodeStatusReportFrequency, &s.ReportEvery)
}
