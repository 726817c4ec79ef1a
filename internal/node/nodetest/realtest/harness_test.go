package realtest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const (
	image = "example.test/busybox:1"
	// within is how long a busy machine may take for anything that is awaited.
	within = 2 * time.Minute
)

// machine is a supervisor, a runtime, an API server and an agent.
type machine struct {
	kubelet *nodeconfig.Settings // of the next start
	t       testing.TB
	bin     string
	dir     string
	cgroup  string
	keep    *exec.Cmd
	cluster *testkit.Cluster
	pods    client.Typed[*corev1.Pod]
	stop    func()
	api     string // address of the kubelet API
	// before and after run before anything is made, and when all is gone.
	before, after func(*machine)
	tls           rest.TLSClientConfig
}

func newMachine(t testing.TB, change ...func(*machine)) *machine {
	t.Helper()
	lookAtSources(t)
	dir, err := os.MkdirTemp("", "knarr-real-")
	if err != nil {
		t.Fatal(err)
	}
	// The users of pods that have their own pass through.
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, kubelet: settings(), bin: os.Getenv(inside), dir: dir, cgroup: "/" + filepath.Base(dir)}
	for _, fn := range change {
		fn(m)
	}
	t.Cleanup(m.destroy)
	if m.before != nil {
		m.before(m)
	}
	m.startRuntime()
	m.load()
	m.cluster = testkit.Start(t, testkit.Options{NoScheduler: true})
	m.pods = client.For[*corev1.Pod](m.cluster.Admin)
	m.startAgent()
	m.eventually("the node is ready", func() bool {
		n, err := client.For[*corev1.Node](m.cluster.Admin).Get(t.Context(), "", "n1")
		if err != nil {
			return false
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	})
	return m
}

// lookAtSources looks at what the runtime is built of: go test runs a test again
// when a file that it has looked at is another, and knows of no program that is
// built for it.
func lookAtSources(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir("../../../../runtime", func(_ string, _ fs.DirEntry, err error) error { return err })
	if err != nil {
		t.Fatal(err)
	}
}

// settings are the defaults, but that the disk of the machine that runs the
// tests may be as full as it likes.
func settings() *nodeconfig.Settings {
	s := nodeconfig.Default()
	s.Eviction.Thresholds, s.Images.High = nil, 100
	return s
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) runtimeArgs(command string) []string {
	return []string{filepath.Join(m.bin, "knarr-runtime"), command, "--socket", m.path("cri.sock"), "--admin-socket", m.path("admin.sock"),
		"--keep-socket", m.path("keep.sock"), "--root", m.path("runtime"), "--state", m.path("state"), "--cgroup-parent", m.cgroup}
}

func (m *machine) startRuntime() {
	m.t.Helper()
	m.keep = exec.Command(filepath.Join(m.bin, "knarr-keep"), "--socket", m.path("keep.sock"), "--state", m.path("keep"), "--log", m.path("keep.log"))
	m.keep.Stderr = os.Stderr
	if err := m.keep.Start(); err != nil {
		m.t.Fatal(err)
	}
	// A registry that sends nothing is given up on soon.
	if err := os.WriteFile(m.path("registries.json"), []byte(`{"registries":{"stallSeconds":2}}`), 0o600); err != nil {
		m.t.Fatal(err)
	}
	service := map[string]any{"name": "runtime", "restart": "always", "argv": append(m.runtimeArgs("serve"), "--config", m.path("registries.json")),
		"env": []string{"PATH=" + os.Getenv("PATH")}, "log": m.path("runtime.log")}
	m.eventually("the supervisor starts the runtime", func() bool { return m.ask(map[string]any{"op": "start", "service": service}) == nil })
	m.eventually("the runtime answers", func() bool {
		c, err := net.Dial("unix", m.path("admin.sock"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// ask sends the supervisor one request.
func (m *machine) ask(request map[string]any) error {
	c, err := net.Dial("unix", m.path("keep.sock"))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(request); err != nil {
		return err
	}
	var answer struct {
		Error *struct{ Message string } `json:"error"`
	}
	if err := json.NewDecoder(c).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return fmt.Errorf("supervisor: %s", answer.Error.Message)
	}
	return nil
}

// load imports the image that TestMain has built.
func (m *machine) load() {
	m.t.Helper()
	archive, err := os.Open(filepath.Join(m.bin, imageArchive))
	if err != nil {
		m.t.Fatal(err)
	}
	defer archive.Close()
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", m.path("admin.sock"))
	}}}
	defer hc.CloseIdleConnections()
	resp, err := hc.Post("http://runtime/v1/images/import", "application/x-tar", archive)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		m.t.Fatalf("import: %s %s", resp.Status, body)
	}
}

func (m *machine) startAgent() {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		m.t.Fatal(err)
	}
	serving, pool, callers := credentials(m.t)
	m.api, m.tls = listener.Addr().String(), callers
	node1 := m.cluster.As("system:node:n1", "system:nodes")
	n, err := node.Start(ctx, node.Config{
		Kubelet:  m.kubelet,
		Client:   client.New(lenient{node1.Transport()}, m.cluster.Catalog).WithManager("kubelet"),
		Listener: listener, ClientCAs: pool,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil },
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		NodeName:    "n1", Addresses: []string{"127.0.0.1"}, Version: "v1.36.0", RuntimeEndpoint: m.path("cri.sock"), PodCIDR: "10.244.78.0/24",
		RootDir: m.path("root"), LogDir: m.path("logs"), ClusterDomain: "cluster.local", CgroupRoot: m.cgroup,
	})
	if err != nil {
		cancel()
		m.t.Fatal(err)
	}
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := n.Wait(); err != nil {
			m.t.Error(err)
		}
	})
}

func (m *machine) destroy() {
	if m.stop != nil {
		m.stop()
	}
	if m.t.Failed() {
		data, _ := os.ReadFile(m.path("runtime.log"))
		m.t.Logf("the runtime's log:\n%s", data)
	}
	if err := m.ask(map[string]any{"op": "stop", "name": "runtime", "graceMillis": 5000}); err != nil {
		m.t.Error(err)
	}
	args := m.runtimeArgs("cleanup")
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		m.t.Errorf("clean-up of the runtime: %v\n%s", err, out)
	}
	if err := m.keep.Process.Kill(); err != nil {
		m.t.Error(err)
	}
	_ = m.keep.Wait()
	if err := node.Cleanup(m.path("root"), m.path("logs")); err != nil {
		m.t.Error(err)
	}
	if m.after != nil {
		m.after(m)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), m.dir) {
		m.t.Errorf("mounts are left below %s (%v)", m.dir, err)
	}
	for _, controller := range []string{"memory", "cpu", "pids", "unified", ""} {
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller, m.cgroup)); err == nil {
			m.t.Errorf("cgroup %s is left in %q", m.cgroup, controller)
		}
	}
	if err := os.RemoveAll(m.dir); err != nil {
		m.t.Error(err)
	}
}

func (m *machine) eventually(what string, ok func() bool) {
	m.t.Helper()
	await.Until(m.t, within, what, ok)
}

// eventuallyRight waits until nothing is wrong, or fails with what is.
func (m *machine) eventuallyRight(what string, wrong func() string) {
	m.t.Helper()
	var last string
	defer func() {
		if last != "" {
			m.t.Log(last)
		}
	}()
	m.eventually(what, func() bool {
		last = wrong()
		return last == ""
	})
}

// shareFolder mounts a folder of the test's at /host of the pod's container.
func shareFolder(dir string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "host", MountPath: "/host"}}
	}
}

// pod is a pod of one container that runs a shell script.
func pod(name, script string, change ...func(*corev1.Pod)) *corev1.Pod {
	grace, no := int64(1), false // a shell that sleeps does not heed its stop signal
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: corev1.PodSpec{
			NodeName: "n1", TerminationGracePeriodSeconds: &grace, AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{{Name: "app", Image: image, Command: []string{"/bin/sh", "-c", script}}},
		},
	}
	for _, fn := range change {
		fn(p)
	}
	return p
}

func (m *machine) create(p *corev1.Pod) {
	m.t.Helper()
	if _, err := m.pods.Create(m.t.Context(), p); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) await(name, what string, ok func(*corev1.Pod) bool) *corev1.Pod {
	m.t.Helper()
	var p *corev1.Pod
	m.eventually(name+" "+what, func() bool {
		var err error
		p, err = m.pods.Get(m.t.Context(), "default", name)
		return err == nil && ok(p)
	})
	return p
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func (m *machine) delete(name string) {
	m.t.Helper()
	if err := m.pods.Delete(m.t.Context(), "default", name, metav1.DeleteOptions{}); err != nil {
		m.t.Fatal(err)
	}
	m.eventually(name+" is gone", func() bool {
		_, err := m.pods.Get(m.t.Context(), "default", name)
		return apierrors.IsNotFound(err)
	})
}

// log is what a container has written.
func (m *machine) log(p *corev1.Pod) string {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.path("logs"), p.Namespace+"_"+p.Name+"_"+string(p.UID), "app", "0.log"))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(data)
}
