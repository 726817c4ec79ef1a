package nodeconfig

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/eviction"
	"github.com/knarr-io/knarr/internal/node/images"
	"github.com/knarr-io/knarr/internal/node/logs"
)

// Settings are what the agent does by its configuration.
type Settings struct {
	// StaticPods is a folder, or file, of manifests; empty for the agent's own.
	StaticPods string
	// MaxPods of the node; PodsPerCore bounds it by the CPUs where above zero.
	MaxPods, PodsPerCore int64
	// PodPIDs bounds the processes of a pod; zero or less for no bound.
	PodPIDs int64
	// Reserved is kept from pods for the system and for Knarr.
	Reserved corev1.ResourceList
	// EnforcePods bounds all pods together by what is allocatable.
	EnforcePods bool

	Eviction eviction.Config
	Images   images.Policy
	Logs     logs.Policy
	// Shutdown says how long pods get when the node is switched off, by their
	// priority, the lowest first; empty for the agent's own rule.
	Shutdown []ShutdownGrace

	// ParallelPulls is how many images are pulled at a time.
	ParallelPulls int
	// CrashDelay bounds the delay between restarts of a container.
	CrashDelay time.Duration
	Verify     images.Verification
	// MountPatience is how long a pod's volumes may take before an event tells
	// of it; zero for upstream's two minutes. No field of the file sets it.
	MountPatience time.Duration

	// ClusterDNS and ClusterDomain are the cluster's own where empty; so is
	// ResolvConf the machine's.
	ClusterDNS                []string
	ClusterDomain, ResolvConf string

	// LeaseSeconds is how long the node's lease holds; ReportEvery how often an
	// unchanged status is written; MaxImages how many images it names (-1: all).
	LeaseSeconds int32
	ReportEvery  time.Duration
	MaxImages    int
	ProviderID   string

	// CPUQuota is off where limits of CPU are not enforced.
	CPUQuota bool
	// UnsafeSysctls that pods may set: names, or prefixes that end in *.
	UnsafeSysctls []string
	// DefaultSeccomp gives containers without a profile the runtime's default.
	DefaultSeccomp bool
}

// ShutdownGrace is what pods of a priority and above get, up to the next.
type ShutdownGrace struct {
	Priority int32
	Grace    time.Duration
}

// Default are the settings of an agent without a file.
func Default() *Settings {
	return &Settings{
		MaxPods: 110, EnforcePods: true, Eviction: eviction.Default(), Images: images.DefaultPolicy(), Logs: logs.DefaultPolicy(),
		ParallelPulls: 4, CrashDelay: 5 * time.Minute, Verify: images.Verification{Policy: images.NeverVerifyPreloaded},
		LeaseSeconds: 40, ReportEvery: 5 * time.Minute, MaxImages: 50, CPUQuota: true,
	}
}

// PodLimit is how many pods a machine with that many CPUs may have.
func (s *Settings) PodLimit(cpus int64) int64 {
	if s.PodsPerCore > 0 {
		return min(s.MaxPods, s.PodsPerCore*cpus)
	}
	return s.MaxPods
}
