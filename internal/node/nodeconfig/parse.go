package nodeconfig

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/base/filewatch"
)

const (
	apiVersion = "kubelet.config.k8s.io/v1beta1"
	kind       = "KubeletConfiguration"
)

// Load reads the file; warnings name what is in it and has no effect. An empty
// path gives the defaults.
func Load(path string) (s *Settings, warnings []string, err error) {
	if path == "" {
		return Default(), nil, nil
	}
	if !filepath.IsAbs(path) {
		return nil, nil, fmt.Errorf("node configuration %q: want an absolute path", path)
	}
	data, err := filewatch.Read(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("node configuration: there is no file %s", path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("node configuration: %w", err)
	}
	if s, warnings, err = Parse(data); err != nil {
		return nil, nil, fmt.Errorf("node configuration %s: %w", path, err)
	}
	return s, warnings, nil
}

// Parse reads settings in YAML or JSON.
func Parse(data []byte) (s *Settings, warnings []string, err error) {
	text, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, nil, err
	}
	var c kubeletconfig.KubeletConfiguration
	strict, err := json.UnmarshalStrict(text, &c)
	if err = errors.Join(append(strict, err)...); err != nil {
		return nil, nil, err
	}
	if c.APIVersion != apiVersion || c.Kind != kind {
		return nil, nil, fmt.Errorf("want kind %s of apiVersion %s, got %q of %q", kind, apiVersion, c.Kind, c.APIVersion)
	}
	if s, err = resolve(&c); err != nil {
		return nil, nil, err
	}
	var fields map[string]any
	if err := json.UnmarshalCaseSensitivePreserveInts(text, &fields); err != nil {
		return nil, nil, err
	}
	return s, idle(fields), nil
}

// idle names the fields of a file that nothing here acts on.
func idle(fields map[string]any) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(used(), name) {
			out = append(out, fmt.Sprintf("node configuration: %s has no effect here", name)+instead(name))
		}
	}
	return out
}

// used are the fields that resolve reads.
func used() []string {
	return strings.Fields(`apiVersion kind staticPodPath maxPods podsPerCore podPidsLimit systemReserved kubeReserved
		enforceNodeAllocatable evictionHard evictionSoft evictionSoftGracePeriod evictionPressureTransitionPeriod
		evictionMaxPodGracePeriod evictionMinimumReclaim mergeDefaultEvictionSettings imageMinimumGCAge imageMaximumGCAge
		imageGCHighThresholdPercent imageGCLowThresholdPercent containerLogMaxSize containerLogMaxFiles
		containerLogMonitorInterval shutdownGracePeriod shutdownGracePeriodCriticalPods shutdownGracePeriodByPodPriority
		serializeImagePulls maxParallelImagePulls crashLoopBackOff imagePullCredentialsVerificationPolicy
		preloadedImagesVerificationAllowlist clusterDNS clusterDomain resolvConf nodeLeaseDurationSeconds
		nodeStatusReportFrequency nodeStatusMaxImages providerID cpuCFSQuota allowedUnsafeSysctls seccompDefault`)
}

// instead says what does what the field does elsewhere; empty where nothing is
// to be done.
func instead(name string) string {
	switch name {
	case "port":
		return ": --kubelet-port sets the port"
	case "podLogsDir":
		return ": --pod-log-dir sets the folder"
	case "podCIDR":
		return ": --pod-network sets the network of all nodes"
	case "cgroupRoot":
		return ": --cgroup-parent sets the cgroup"
	case "logging":
		return ": --log-level sets what is logged"
	case "fileCheckFrequency", "syncFrequency", "configMapAndSecretChangeDetectionStrategy":
		return ": changes are told by events"
	case "cgroupDriver", "cgroupsPerQOS":
		return ": cgroups are always made directly, by QoS class"
	case "authentication", "authorization":
		return ": callers are always authenticated and authorized by the API"
	}
	return ""
}
