package spec

import (
	"fmt"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestSELinux(t *testing.T) {
	policy := SELinux{Process: "system_u:system_r:container_t:s0", File: "system_u:object_r:container_file_t:s0"}
	asks := func(o *cri.SELinuxOption) *cri.LinuxContainerSecurityContext {
		return &cri.LinuxContainerSecurityContext{SelinuxOptions: o}
	}
	all := asks(&cri.SELinuxOption{User: "u", Role: "r", Type: "t", Level: "s1:c2,c3"})
	for _, c := range []struct {
		name   string
		policy SELinux
		sc     *cri.LinuxContainerSecurityContext
		want   Labels
	}{
		{"all is chosen", policy, all, Labels{"u:r:t:s1:c2,c3", "u:object_r:container_file_t:s1:c2,c3"}},
		{"the type is chosen", policy, asks(&cri.SELinuxOption{Type: "spc_t"}),
			Labels{"system_u:system_r:spc_t:" + levelOf("pod"), "system_u:object_r:container_file_t:" + levelOf("pod")}},
		{"a policy without levels", SELinux{"a:b:c", "d:e:f"}, asks(&cri.SELinuxOption{Type: "t"}), Labels{"a:b:t", "d:e:f"}},
		{"nothing is chosen", policy, asks(&cri.SELinuxOption{}), Labels{}},
		{"nothing is asked for", policy, nil, Labels{}},
		{"a kernel without", SELinux{}, all, Labels{}},
		{"privileged", policy, &cri.LinuxContainerSecurityContext{Privileged: true, SelinuxOptions: all.SelinuxOptions}, Labels{}},
	} {
		got := c.policy.Labels(c.sc, "pod")
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		s, err := Build(Input{Container: &cri.ContainerConfig{Command: []string{"x"}}, Host: host(), Labels: got})
		if err != nil {
			t.Fatal(err)
		}
		if s.Process.SelinuxLabel != c.want.Process || s.Linux.MountLabel != c.want.File {
			t.Errorf("%s: the specification has %q and %q", c.name, s.Process.SelinuxLabel, s.Linux.MountLabel)
		}
	}
}

// Levels are pairs of different categories in order, and differ.
func TestLevels(t *testing.T) {
	seen := map[string]bool{}
	for i := range 100 {
		level := levelOf(fmt.Sprint("sandbox-", i))
		var a, b int
		if n, err := fmt.Sscanf(level, "s0:c%d,c%d", &a, &b); n != 2 || err != nil || a >= b || b >= categories {
			t.Errorf("level %q", level)
		}
		seen[level] = true
	}
	if len(seen) < 99 {
		t.Errorf("100 sandboxes share %d levels", len(seen))
	}
}
