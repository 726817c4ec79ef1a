package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// Capabilities as masks of the kernel's. The default set is that of the
// container runtimes that people know.
const (
	defaultCapabilities = "00000000a80425fb"
	withNetAdmin        = "00000000a80435fb"
	onlyBindService     = "0000000000000400"
	noCapabilities      = "0000000000000000"
)

// ended applies a pod that runs a script once and returns what it wrote,
// to standard output and standard error in one.
func ended(t *testing.T, s *harness.Space, name, podLevel, containerLevel, script string) string {
	t.Helper()
	s.Apply(t, harness.Pod(name, fmt.Sprintf(`
restartPolicy: Never
securityContext: {%s}
containers:
- name: main
  image: busybox:1.35
  command: [sh, -c, %q]
  securityContext: {%s}
  volumeMounts: [{name: data, mountPath: /data}]
volumes: [{name: data, emptyDir: {}}]
`, podLevel, "exec 2>&1; "+script, containerLevel)))
	s.Ended(t, name)
	return s.Logs(t, name)
}

// status is the line of a process's status that begins with a name.
func status(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// A container runs as the user and groups that it asks for, and shares its
// volumes through the pod's group.
func TestUserAndGroups(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	script := "id; stat -c '%g %a' /data; echo mine > /data/file && stat -c '%u %g' /data/file; touch /root/file"
	got := ended(t, s, "user", "runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, supplementalGroups: [4000]", "", script)
	want := "uid=1000 gid=3000 groups=2000,3000,4000\n2000 2777\n1000 2000\ntouch: /root/file: Permission denied\n"
	if got != want {
		t.Errorf("pod wide:\n%s\nwant\n%s", got, want)
	}
	got = ended(t, s, "own", "runAsUser: 1000, runAsGroup: 3000", "runAsUser: 1001, runAsGroup: 3001", "id -u; id -g")
	if got != "1001\n3001\n" {
		t.Errorf("the container's own: %q", got)
	}
	if got = ended(t, s, "image", "", "", "id -u; id -g"); got != "0\n0\n" {
		t.Errorf("without a wish: %q, want root as the image has it", got)
	}
}

// A container that must not run as root is refused when it would.
func TestRunAsNonRoot(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("root", `
securityContext: {runAsNonRoot: true}
containers: [{name: main, image: "busybox:1.35", command: ["true"]}]
`)+harness.Pod("zero", `
securityContext: {runAsNonRoot: true}
containers: [{name: main, image: "busybox:1.35", command: ["true"], securityContext: {runAsUser: 0}}]
`)+harness.Pod("other", `
restartPolicy: Never
securityContext: {runAsNonRoot: true}
containers: [{name: main, image: "busybox:1.35", command: [id, -u], securityContext: {runAsUser: 12}}]
`)+harness.Pod("image", `
securityContext: {runAsNonRoot: true}
containers: [{name: main, image: "knarr.io/hello:1", imagePullPolicy: Never, ports: [{containerPort: 8080}]}]
`))
	for name, words := range map[string]string{
		"root": "container has runAsNonRoot and image will run as root (pod: \"root_" + s.Name + "(",
		"zero": "container's runAsUser breaks non-root policy (pod: \"zero_" + s.Name + "(",
	} {
		s.Pod(t, name, "refused", func(p *corev1.Pod) bool {
			w := harness.ContainerStatus(p, "main").State.Waiting
			return w != nil && w.Reason == "CreateContainerConfigError" && strings.HasPrefix(w.Message, words)
		})
		s.Event(t, name, "Failed", "Error: "+words)
	}
	s.Ended(t, "other")
	if got := s.Logs(t, "other"); got != "12\n" {
		t.Errorf("another user: %q", got)
	}
	s.Ready(t, "image")
}

// The root file system can be made read-only; volumes stay writable.
func TestReadOnlyRoot(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	got := ended(t, s, "fixed", "", "readOnlyRootFilesystem: true", "touch /file; touch /data/file && echo volume")
	if want := "touch: /file: Read-only file system\nvolume\n"; got != want {
		t.Errorf("it wrote %q, want %q", got, want)
	}
}

// Capabilities are the usual set, more or less what was asked for.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	const show = "cat /proc/self/status; ip link set lo mtu 1400 && echo changed"
	for name, tc := range map[string]struct{ container, effective, bounding, change string }{
		"default": {"", defaultCapabilities, defaultCapabilities, "Operation not permitted"},
		"more":    {"capabilities: {add: [NET_ADMIN]}", withNetAdmin, withNetAdmin, "changed"},
		"none":    {"capabilities: {drop: [ALL]}", noCapabilities, noCapabilities, "Operation not permitted"},
		"one":     {"capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}", onlyBindService, onlyBindService, "Operation not permitted"},
		"user":    {"runAsUser: 1000", noCapabilities, defaultCapabilities, "Operation not permitted"},
	} {
		got := ended(t, s, name, "", tc.container, show)
		if eff, bnd := status(got, "CapEff"), status(got, "CapBnd"); eff != tc.effective || bnd != tc.bounding {
			t.Errorf("%s: effective %s, bounding %s; want %s, %s", name, eff, bnd, tc.effective, tc.bounding)
		}
		if !strings.Contains(got, tc.change) {
			t.Errorf("%s: it does not say %q:\n%s", name, tc.change, got)
		}
	}
}

// A privileged container has all of root's powers and the machine's devices.
func TestPrivileged(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	const script = "cat /proc/self/status; mount -t tmpfs none /mnt 2>&1 && echo mounted; test -e /dev/kmsg && echo devices; touch /proc/sys/net/ipv4/ip_forward && echo sysctl"
	got := ended(t, s, "mighty", "", "privileged: true", "busybox mkdir -p /mnt; "+script)
	if eff, all := status(got, "CapEff"), status(string(own), "CapBnd"); eff != all {
		t.Errorf("privileged: effective %s, want all of the machine's, %s", eff, all)
	}
	if !strings.HasSuffix(got, "mounted\ndevices\nsysctl\n") || status(got, "Seccomp") != "0" {
		t.Errorf("a privileged container is held back:\n%s", got)
	}
	got = ended(t, s, "plain", "", "", "busybox mkdir -p /mnt; "+script)
	if strings.Contains(got, "mounted") || strings.Contains(got, "devices") || strings.HasSuffix(got, "sysctl\n") {
		t.Errorf("a plain container is not held back:\n%s", got)
	}
}

// Privileges are not to be gained where that is forbidden.
func TestAllowPrivilegeEscalation(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	for container, want := range map[string]string{"": "0", "allowPrivilegeEscalation: false": "1", "allowPrivilegeEscalation: true": "0"} {
		got := ended(t, s, "set-"+want+strings.ToLower(fmt.Sprint(len(container))), "", container, "cat /proc/self/status")
		if no := status(got, "NoNewPrivs"); no != want {
			t.Errorf("%q: NoNewPrivs is %s, want %s", container, no, want)
		}
	}
	out := s.Kubectl.Fails(t, nil, "run", "contradiction", "--image=busybox:1.35", "--overrides",
		`{"apiVersion":"v1","spec":{"containers":[{"name":"contradiction","image":"busybox:1.35","securityContext":{"privileged":true,"allowPrivilegeEscalation":false}}]}}`)
	if want := "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"; !strings.Contains(out.Stderr, want) {
		t.Errorf("privileged without escalation: %s", out)
	}
}

// The runtime's default seccomp profile refuses what containers do not need.
func TestSeccomp(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	const script = "cat /proc/self/status; busybox unshare -U true && echo unshared"
	got := ended(t, s, "filtered", "seccompProfile: {type: RuntimeDefault}", "", script)
	if status(got, "Seccomp") != "2" || !strings.Contains(got, "unshare: ") || !strings.Contains(got, "Operation not permitted") || strings.Contains(got, "unshared") {
		t.Errorf("RuntimeDefault does not refuse a user namespace:\n%s", got)
	}
	got = ended(t, s, "unfiltered", "seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}", script)
	if status(got, "Seccomp") != "0" || !strings.HasSuffix(got, "unshared\n") {
		t.Errorf("the container's own wish to be unconfined does not count:\n%s", got)
	}
}

// A namespace that holds its pods to a standard refuses those that break it.
func TestPodSecurityStandard(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Kubectl.Run(t, "label", "namespace", s.Name, "pod-security.kubernetes.io/enforce=restricted")
	out := s.Kubectl.Fails(t, []string{"is forbidden: violates PodSecurity \"restricted:latest\"", "allowPrivilegeEscalation != false",
		"unrestricted capabilities", "runAsNonRoot != true", "seccompProfile"}, "run", "plain", "--image=busybox:1.35")
	if out.Code != 1 {
		t.Errorf("%s", out)
	}
	got := ended(t, s, "strict", "runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}",
		"allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}", "id -u")
	if got != "1000\n" {
		t.Errorf("a pod that keeps the standard: %q", got)
	}
}
