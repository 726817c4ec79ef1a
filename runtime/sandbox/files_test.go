package sandbox

import (
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
)

func TestResolvConf(t *testing.T) {
	got, err := resolvConf(&cri.DNSConfig{Servers: []string{"10.0.0.10", "fd00::a"}, Searches: []string{"a.b", "c"}, Options: []string{"ndots:5"}})
	want := "search a.b c\nnameserver 10.0.0.10\nnameserver fd00::a\noptions ndots:5\n"
	if err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := resolvConf(&cri.DNSConfig{}); err != nil || got != "" {
		t.Errorf("an empty one: %q, %v", got, err)
	}
}

func TestSysctlsThatReachTheNodeAreRefused(t *testing.T) {
	hostNet := &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}
	hostIPC := &cri.NamespaceOption{Ipc: cri.NamespaceMode_NODE}
	for _, tc := range []struct {
		name string
		opts *cri.NamespaceOption
		ok   bool
	}{
		{"net.core.somaxconn", nil, true}, {"net/core/somaxconn", nil, true}, {"kernel.shmmax", nil, true}, {"kernel.sem", nil, true}, {"fs.mqueue.msg_max", nil, true},
		{"net.core.somaxconn", hostNet, false}, {"kernel.shmmax", hostIPC, false},
		{"kernel.pid_max", nil, false}, {"vm.swappiness", nil, false}, {"net...kernel.pid_max", nil, false}, {"kernel.semantics", nil, false},
	} {
		s := &Sandbox{Config: &cri.PodSandboxConfig{Linux: &cri.LinuxPodSandboxConfig{Sysctls: map[string]string{tc.name: "1"},
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: tc.opts}}}}
		if err := checkSysctls(s); (err == nil) != tc.ok || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s %v: %v", tc.name, tc.opts, err)
		}
	}
}
