package nodeconfig

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/node/eviction"
	"github.com/knarr-io/knarr/internal/node/images"
)

const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

func TestEmptyFileIsTheDefault(t *testing.T) {
	s, warnings, err := Parse([]byte(head))
	if err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	want := Default()
	want.Reserved = s.Reserved // empty, not nil
	if diff := cmp.Diff(want, s); diff != "" || len(s.Reserved) != 0 {
		t.Error(diff)
	}
	if s, _, err := Load(""); err != nil || s.MaxPods != 110 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestFieldsAreActedOn(t *testing.T) {
	text, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, warnings, err := Parse(text)
	if err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	want := &Settings{
		StaticPods: "/etc/manifests", MaxPods: 200, PodsPerCore: 10, PodPIDs: 512, Reserved: s.Reserved,
		Eviction: eviction.Config{Transition: 30 * time.Second, MaxPodGrace: 90 * time.Second, Thresholds: []eviction.Threshold{
			{Signal: eviction.MemoryAvailable, Value: eviction.Value{Quantity: 300 << 20}, Reclaim: eviction.Value{Quantity: 10 << 20}},
			{Signal: eviction.NodeFsAvailable, Value: eviction.Value{Share: 0.2}, Grace: 2 * time.Minute},
		}},
		Images:        images.Policy{High: 70, Low: 60, MinAge: 5 * time.Minute, MaxAge: 240 * time.Hour},
		Shutdown:      []ShutdownGrace{{math.MinInt32, 20 * time.Second}, {2_000_000_000, 10 * time.Second}},
		ParallelPulls: 7, CrashDelay: 20 * time.Second, Verify: images.Verification{Policy: images.NeverVerifyAllowlisted, Allowed: []string{"example.test/a"}},
		ClusterDNS: []string{"192.0.2.10"}, ClusterDomain: "example.test", ResolvConf: "/run/resolv.conf",
		LeaseSeconds: 20, ReportEvery: time.Minute, MaxImages: -1, ProviderID: "x://1", UnsafeSysctls: []string{"kernel.msg*"}, DefaultSeccomp: true,
	}
	want.Logs.MaxSize, want.Logs.MaxFiles, want.Logs.Every = 1<<20, 3, 5*time.Second
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	cpu := s.Reserved["cpu"]
	if cpu.Cmp(resource.MustParse("150m")) != 0 || len(s.Reserved) != 3 {
		t.Errorf("reserved %v", s.Reserved)
	}
	if s.PodLimit(2) != 20 || s.PodLimit(100) != 200 {
		t.Error("the limit by cores does not count")
	}
}

func TestRefused(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"nothing", "", "want kind KubeletConfiguration"},
		{"another kind", "apiVersion: v1\nkind: Pod\n", "want kind KubeletConfiguration"},
		{"unknown field", head + "maxPod: 5\n", `unknown field "maxPod"`},
		{"unknown field inside", head + "crashLoopBackOff: {max: 5s}\n", `unknown field "crashLoopBackOff.max"`},
		{"twice", head + "maxPods: 5\nmaxPods: 6\n", "maxPods"},
		{"wrong case", head + "MaxPods: 5\n", `unknown field "MaxPods"`},
		{"wrong type", head + "maxPods: many\n", "maxPods"},
		{"reserved", head + "systemReserved: {gpu: \"1\"}\n", "systemReserved[gpu]"},
		{"reserved amount", head + "kubeReserved: {cpu: \"-1\"}\n", "kubeReserved[cpu]"},
		{"enforce", head + "enforceNodeAllocatable: [system-reserved]\n", "enforceNodeAllocatable"},
		{"signal", head + "evictionHard: {memory: 1Gi}\n", "evictionHard[memory]"},
		{"images", head + "imageGCHighThresholdPercent: 50\n", "imageGCLowThresholdPercent"},
		{"log size", head + "containerLogMaxSize: none\n", "containerLogMaxSize"},
		{"log files", head + "containerLogMaxFiles: 1\n", "containerLogMaxFiles"},
		{"shutdown", head + "shutdownGracePeriod: 5s\nshutdownGracePeriodCriticalPods: 10s\n", "shutdownGracePeriodCriticalPods"},
		{"pulls", head + "serializeImagePulls: true\nmaxParallelImagePulls: 2\n", "maxParallelImagePulls"},
		{"crash", head + "crashLoopBackOff: {maxContainerRestartPeriod: 10m}\n", "crashLoopBackOff.maxContainerRestartPeriod"},
		{"verify", head + "imagePullCredentialsVerificationPolicy: Sometimes\n", "imagePullCredentialsVerificationPolicy"},
		{"dns", head + "clusterDNS: [here]\n", "clusterDNS"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := Parse([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestFieldsWithoutEffectAreNamed(t *testing.T) {
	_, warnings, err := Parse([]byte(head + "cgroupDriver: systemd\nport: 10250\nhairpinMode: none\n"))
	want := []string{
		"node configuration: cgroupDriver has no effect here: cgroups are always made directly, by QoS class",
		"node configuration: hairpinMode has no effect here",
		"node configuration: port has no effect here: --kubelet-port sets the port",
	}
	if diff := cmp.Diff(want, warnings); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.yaml")
	if _, _, err := Load(path); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Error(err)
	}
	if _, _, err := Load("node.yaml"); err == nil {
		t.Error("a relative path was taken")
	}
	if err := os.WriteFile(path, []byte(head+"maxPods: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, _, err := Load(path); err != nil || s.MaxPods != 7 {
		t.Errorf("%+v %v", s, err)
	}
}
