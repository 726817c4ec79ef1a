package realtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// runtimePID finds the machine's runtime by its socket.
func (m *machine) runtimePID() int {
	m.t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, path := range lines {
		args, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(args, []byte("\x00serve\x00")) || !bytes.Contains(args, []byte(m.path("cri.sock"))) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			return pid
		}
	}
	m.t.Fatal("the runtime is not found")
	return 0
}

// nodeSays tells whether an event of the node has the reason.
func (m *machine) nodeSays(reason string) bool {
	m.t.Helper()
	list, _, err := client.For[*corev1.Event](m.cluster.Admin).List(m.t.Context(), "default", metav1.ListOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range list {
		if e.Reason == reason && e.InvolvedObject.Kind == "Node" {
			return true
		}
	}
	return false
}

// A killed runtime takes nothing with it: the node says so while it is gone,
// containers run on, and what ended meanwhile is known when it is back.
func TestRuntimeKilled(t *testing.T) {
	m := newMachine(t)
	check := m.neighbour()
	shared := t.TempDir()
	m.create(pod("ends", "until [ -e /host/go ]; do sleep 1; done; exit 7", shareFolder(shared), func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
	}))
	m.await("ends", "is ready", ready)
	// Nobody starts the runtime again before the supervisor goes on.
	if err := unix.Kill(m.keep.Process.Pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() {
		if err := unix.Kill(m.keep.Process.Pid, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(goOn)
	if err := unix.Kill(m.runtimePID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.eventually("the node is told to be not ready", func() bool { return m.nodeSays("NodeNotReady") })
	if err := os.WriteFile(filepath.Join(shared, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	goOn()
	p := m.await("ends", "has ended", ended)
	if end := p.Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 7 || end.Reason != "Error" {
		t.Errorf("the end while the runtime was gone: %+v", end)
	}
	check()
}

// A container that ignores its stop signal is killed at the end of its grace
// period, and the pod is gone.
func TestStopSignalIgnored(t *testing.T) {
	m := newMachine(t)
	check := m.neighbour()
	m.create(pod("deaf", "trap '' TERM; echo deaf; while :; do sleep 1; done", func(p *corev1.Pod) {
		grace := int64(2)
		p.Spec.TerminationGracePeriodSeconds = &grace
	}))
	p := m.await("deaf", "is ready", ready)
	m.eventually("it ignores the signal", func() bool { return bytes.Contains([]byte(m.log(p)), []byte("deaf")) })
	m.delete("deaf")
	m.eventually("the end is told", func() bool { return m.says("deaf", "Killing", "Stopping container app") })
	check()
}
