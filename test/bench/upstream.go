package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
)

// upstreamVersions are what the modules in upstreamModules require.
const upstreamVersions = "kube-apiserver, kube-controller-manager, kube-scheduler and kubelet 1.36.3, etcd 3.6.8, kwok 0.8.0, Debian's containerd and runc"

// upstreamModules are the folders of the modules that pin upstream's programs,
// with the packages that are built there.
var upstreamModules = []struct {
	dir      string
	packages map[string]string
}{
	{"test/upstream/kubernetes", map[string]string{
		"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
		"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
		"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
		"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
	}},
	{"test/conformance/images/etcd", map[string]string{"etcd": "go.etcd.io/etcd/server/v3"}},
}

// upstreamWait bounds how long one of upstream's programs may take to be ready.
const upstreamWait = 5 * time.Minute

// upstream is upstream's control plane, in processes of its own, on loopback.
type upstream struct {
	bin, parent, dir string
	token            string
	host             string
	processes        map[string]*exec.Cmd
	logs             []*os.File
}

// startUpstream builds upstream's programs into bin and starts them. They are
// set up as its documents advise, with the limits of the controllers' clients
// raised, and with a token instead of a certificate for the driver.
func startUpstream(ctx context.Context, bin, parent string) (*upstream, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	for _, m := range upstreamModules {
		for name, pkg := range m.packages {
			if err := buildUpstream(ctx, m.dir, filepath.Join(bin, name), pkg); err != nil {
				return nil, err
			}
		}
	}
	u := &upstream{bin: bin, parent: parent}
	return u, u.restart(ctx)
}

// buildUpstream builds one program in the module that pins it.
func buildUpstream(ctx context.Context, module, program, pkg string) error {
	fmt.Fprintln(os.Stderr, "building upstream's", filepath.Base(program))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, pkg)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build upstream's %s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

// restart begins with an empty store. It is for one that is stopped.
func (u *upstream) restart(ctx context.Context) (err error) {
	if u.dir, err = os.MkdirTemp(u.parent, "knarr-bench-upstream-"); err != nil {
		return err
	}
	u.processes, u.logs = map[string]*exec.Cmd{}, nil
	if err := u.start(ctx); err != nil {
		u.stop()
		return err
	}
	return nil
}

func (u *upstream) path(name string) string { return filepath.Join(u.dir, name) }

func (u *upstream) start(ctx context.Context) error {
	if err := u.writeFiles(); err != nil {
		return err
	}
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	etcd := "http://127.0.0.1:" + ports[0]
	peer := "http://127.0.0.1:" + ports[1]
	u.host = "https://127.0.0.1:" + ports[2]
	if err := u.writeKubeconfig(); err != nil {
		return err
	}
	for _, p := range []struct {
		name  string
		ready string
		args  []string
	}{
		{"etcd", etcd + "/health", []string{"--data-dir=" + u.path("etcd"), "--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer}},
		{"kube-apiserver", u.host + "/readyz", []string{"--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--secure-port=" + ports[2],
			"--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none", "--cert-dir=" + u.path("certs"), "--token-auth-file=" + u.path("tokens"),
			"--authorization-mode=Node,RBAC", "--allow-privileged", "--service-cluster-ip-range=10.97.0.0/16",
			"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + u.path("key"), "--service-account-signing-key-file=" + u.path("key")}},
		{"kube-controller-manager", "https://127.0.0.1:" + ports[3] + "/healthz", []string{"--kubeconfig=" + u.path("kubeconfig"), "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + ports[3], "--cert-dir=" + u.path("kcm"), "--kube-api-qps=1000", "--kube-api-burst=1000",
			"--service-account-private-key-file=" + u.path("key"), "--root-ca-file=" + u.path("certs/apiserver.crt"), "--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20"}},
		{"kube-scheduler", "https://127.0.0.1:" + ports[4] + "/healthz", []string{"--kubeconfig=" + u.path("kubeconfig"), "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + ports[4], "--cert-dir=" + u.path("scheduler"), "--kube-api-qps=1000", "--kube-api-burst=1000"}},
	} {
		if err := u.run(ctx, p.name, p.args, p.ready); err != nil {
			return err
		}
	}
	return u.awaitDefaults(ctx)
}

// run starts one program and waits until it says that it is healthy.
func (u *upstream) run(ctx context.Context, name string, args []string, ready string) error {
	log, err := os.Create(u.path(name + ".log"))
	if err != nil {
		return err
	}
	u.logs = append(u.logs, log)
	cmd := exec.Command(filepath.Join(u.bin, name), args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, u.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start upstream's %s: %w", name, err)
	}
	u.processes[name] = cmd
	ctx, cancel := context.WithTimeout(ctx, upstreamWait)
	defer cancel()
	transport, err := rest.TransportFor(u.config())
	if err != nil {
		return err
	}
	for fetch(ctx, transport, ready, "") != nil {
		if pause(ctx, 50*time.Millisecond) != nil {
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("upstream's %s is not ready after %v:\n%s", name, upstreamWait, said[max(0, len(said)-4096):])
		}
	}
	return nil
}

// awaitDefaults waits until controllers have made what a pod needs.
func (u *upstream) awaitDefaults(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upstreamWait)
	defer cancel()
	transport, err := rest.TransportFor(u.config())
	if err != nil {
		return err
	}
	for fetch(ctx, transport, u.host+"/api/v1/namespaces/default/serviceaccounts/default", "application/json") != nil {
		if pause(ctx, 50*time.Millisecond) != nil {
			return errors.New("upstream's controllers make no service account")
		}
	}
	return nil
}

func (u *upstream) config() *rest.Config {
	return &rest.Config{Host: u.host, BearerToken: u.token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

func (u *upstream) target() *target {
	t := &target{name: "upstream", config: u.config(), pids: map[string]int{}}
	for name, cmd := range u.processes {
		t.pids[name] = cmd.Process.Pid
	}
	return t
}

// stop ends the processes and removes what they wrote.
func (u *upstream) stop() {
	for _, name := range []string{"kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"} {
		if cmd := u.processes[name]; cmd != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	for _, f := range u.logs {
		_ = f.Close()
	}
	_ = os.RemoveAll(u.dir)
}

// freePorts are ports of loopback that nobody listens on at the moment.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that they differ
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}
