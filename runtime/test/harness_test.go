package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/keep/client"
	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/proc"
	"github.com/knarr-io/knarr/runtime/test/built"
)

const (
	podCIDR   = "10.244.77.0/24"
	imageName = "docker.io/library/workload:test"
	// patience is how long a busy machine may take for anything.
	patience = 3 * time.Minute
)

// binaries are built once for all tests.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "knarr-bin-")
	if err != nil {
		return "", err
	}
	if err := built.From(".."); err != nil {
		return dir, err
	}
	if out, err := exec.Command("make", "-C", "..", "OUT="+dir).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("make: %w\n%s", err, out)
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "workload"), "./workload")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("workload: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests make containers: run them as root")
		os.Exit(1)
	}
	code := m.Run()
	if dir, err := binaries(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// node is a keep with a runtime.
type node struct {
	t       testing.TB
	bin     string
	dir     string // on a tmpfs
	root    string
	cgroup  string
	keepCmd *exec.Cmd
	keep    *client.Client
	conn    *grpc.ClientConn
	runtime cri.RuntimeServiceClient
	images  cri.ImageServiceClient
	logs    string
	// handler is the runtime handler of new pods.
	handler string
	// settings are further flags of the runtime, env more of its environment.
	settings, env []string
}

// newNode makes a node; prepare comes before anything runs.
func newNode(t testing.TB, prepare ...func(*node)) *node {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "knarr-test-")
	if err != nil {
		t.Fatal(err)
	}
	// The users of pods that have their own pass through.
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, bin: bin, dir: dir, root: t.TempDir(), cgroup: "/knarr-test-" + filepath.Base(dir)[len("knarr-test-"):], logs: t.TempDir()}
	t.Cleanup(n.destroy)
	for _, prepare := range prepare {
		prepare(n)
	}
	n.startKeep()
	n.startRuntime()
	n.must(n.runtime.UpdateRuntimeConfig(n.ctx(), &cri.UpdateRuntimeConfigRequest{RuntimeConfig: &cri.RuntimeConfig{
		NetworkConfig: &cri.NetworkConfig{PodCidr: podCIDR}}}))
	return n
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *node) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	n.t.Cleanup(cancel)
	return ctx
}

// must fails the test on an error; the first value of a call is passed over.
func (n *node) must(_ any, err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) startKeep() {
	n.t.Helper()
	script := `ip link set lo up && ip addr add 192.0.2.1/32 dev lo && echo 1 > /proc/sys/net/ipv4/ip_forward && exec "$0" "$@"`
	n.keepCmd = exec.Command("/bin/sh", "-c", script, filepath.Join(n.bin, "knarr-keep"),
		"--socket", n.path("keep.sock"), "--state", n.path("keep"), "--log", n.path("keep.log"))
	n.keepCmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Setsid: true}
	n.keepCmd.Stderr = os.Stderr
	if err := n.keepCmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.keep = client.New(n.path("keep.sock"))
	n.eventually("keep answers", func() bool { _, err := n.keep.List(); return err == nil })
}

func (n *node) runtimeArgs(command string) []string {
	return []string{filepath.Join(n.bin, "knarr-runtime"), command, "--socket", n.path("cri.sock"), "--admin-socket", n.path("admin.sock"),
		"--keep-socket", n.path("keep.sock"), "--root", n.root, "--state", n.path("state"), "--cgroup-parent", n.cgroup}
}

func (n *node) startRuntime() {
	n.t.Helper()
	_, err := n.keep.Start(wire.Service{Name: "runtime", Argv: append(n.runtimeArgs("serve"), n.settings...),
		Env: append([]string{"PATH=" + os.Getenv("PATH"), "GOTRACEBACK=all", "GORACE=" + os.Getenv("GORACE")}, n.env...), Log: n.path("runtime.log"), BackoffMaxMillis: 100})
	if err != nil {
		n.t.Fatal(err)
	}
	n.connect()
}

func (n *node) connect() {
	n.t.Helper()
	conn, err := grpc.NewClient("unix://"+n.path("cri.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1, MaxDelay: 5 * time.Millisecond}}))
	if err != nil {
		n.t.Fatal(err)
	}
	n.conn, n.runtime, n.images = conn, cri.NewRuntimeServiceClient(conn), cri.NewImageServiceClient(conn)
	n.answers()
}

func (n *node) answers() {
	n.t.Helper()
	n.eventually("the runtime answers", func() bool {
		_, err := n.runtime.Version(n.ctx(), &cri.VersionRequest{}, grpc.WaitForReady(true))
		return err == nil
	})
}

// runtimeProcess is the running runtime.
func (n *node) runtimeProcess() proc.ID {
	n.t.Helper()
	all, err := n.keep.List()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, s := range all {
		if s.Name == "runtime" && s.PID != 0 {
			return proc.ID{PID: s.PID, StartTime: s.StartTime}
		}
	}
	n.t.Fatalf("the runtime does not run: %+v", all)
	return proc.ID{}
}

// inNet runs f in the node's network namespace.
func (n *node) inNet(f func() error) {
	n.t.Helper()
	if err := nspace.Do(fmt.Sprintf("/proc/%d/ns/net", n.keepCmd.Process.Pid), nspace.Net, f); err != nil {
		n.t.Fatal(err)
	}
}

// dial connects in the node's network namespace.
func (n *node) dial(network, addr string) (c net.Conn, err error) {
	n.inNet(func() error {
		c, err = (&net.Dialer{Timeout: time.Minute, FallbackDelay: -1}).Dial(network, addr)
		return nil
	})
	return c, err
}

func (n *node) eventually(what string, ok func() bool) {
	n.t.Helper()
	deadline, tick := time.NewTimer(patience), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			n.t.Fatalf("timed out: %s", what)
		case <-tick.C:
		}
	}
}

// destroy stops everything, cleans up, and checks that nothing is left.
func (n *node) destroy() {
	data, _ := os.ReadFile(n.path("runtime.log"))
	for _, bad := range []string{"DATA RACE", "panic: ", "fatal error: ", "level=ERROR"} {
		if bytes.Contains(data, []byte(bad)) {
			n.t.Errorf("the runtime's log has %q", bad)
		}
	}
	if n.t.Failed() {
		n.t.Logf("runtime's log:\n%s", data)
	}
	if n.conn != nil {
		n.conn.Close()
	}
	_ = n.keep.Stop("runtime", 5*time.Second)
	ns := fmt.Sprintf("--net=/proc/%d/ns/net", n.keepCmd.Process.Pid)
	cmd := exec.Command("nsenter", append([]string{ns}, n.runtimeArgs("cleanup")...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Errorf("cleanup: %v\n%s", err, out)
	}
	n.keep.Close()
	_ = n.keepCmd.Process.Kill()
	_, _ = n.keepCmd.Process.Wait()
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for _, dir := range []string{n.dir, n.root} {
		if bytes.Contains(mounts, []byte(dir)) {
			n.t.Errorf("mounts are left below %s", dir)
		}
	}
	for _, g := range []string{"memory", "cpu", "pids", "unified", ""} {
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", g, n.cgroup)); err == nil {
			n.t.Errorf("cgroup %s is left in %q", n.cgroup, g)
		}
	}
	os.RemoveAll(n.dir)
}

// admin sends a request to the admin socket and returns status and body.
func (n *node) admin(method, path string, body io.Reader) (int, []byte) {
	n.t.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", n.path("admin.sock"))
	}}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://runtime"+path, body)
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, data
}

// load imports the workload's image.
func (n *node) load() {
	n.t.Helper()
	code, body := n.admin("POST", "/v1/images/import", bytes.NewReader(archive(n.t)))
	if code != http.StatusOK {
		n.t.Fatalf("import: %d %s", code, body)
	}
	var got []struct{ Names []string }
	if err := json.Unmarshal(body, &got); err != nil || len(got) != 1 || strings.Join(got[0].Names, " ") != imageName {
		n.t.Fatalf("import: %s, %v", body, err)
	}
}
