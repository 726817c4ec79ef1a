package spec

import (
	"math"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestRlimits(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]Rlimit
		want     []specs.POSIXRlimit
	}{
		"nothing said":  {nil, []specs.POSIXRlimit{}},
		"two":           {map[string]Rlimit{"nofile": {1024, 4096}, "core": {0, -1}}, []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Hard: math.MaxUint64}, {Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 4096}}},
		"none at all":   {map[string]Rlimit{"memlock": {-1, -1}}, []specs.POSIXRlimit{{Type: "RLIMIT_MEMLOCK", Soft: math.MaxUint64, Hard: math.MaxUint64}}},
		"unknown":       {map[string]Rlimit{"files": {1, 2}}, nil},
		"capitals":      {map[string]Rlimit{"NOFILE": {1, 2}}, nil},
		"whole name":    {map[string]Rlimit{"rlimit_nofile": {1, 2}}, nil},
		"soft too high": {map[string]Rlimit{"nofile": {2, 1}}, nil},
		"soft without":  {map[string]Rlimit{"nofile": {-1, 1}}, nil},
		"negative":      {map[string]Rlimit{"nofile": {1, -2}}, nil},
	} {
		got, err := Rlimits(c.settings)
		if (err == nil) != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if err != nil {
			continue
		}
		built, err := Build(Input{Container: &cri.ContainerConfig{Command: []string{"x"}}, Sandbox: &cri.PodSandboxConfig{}, Host: Host{Rlimits: got}})
		if err != nil || !slices.Equal(built.Process.Rlimits, c.want) {
			t.Errorf("%s: a container gets %v, %v", name, built, err)
		}
	}
}
