package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// nodeName is that of upstream's node.
const nodeName = "upstream-node"

// elsewhere are folders that containerd (sockets of its shims) and the kubelet
// (links to logs) use, whatever their configuration says.
var elsewhere = []string{"/run/containerd", "/var/log/containers"}

// upstreamNode is a kubelet with Debian's containerd, runc and CNI plugins. It
// keeps to a folder, a cgroup and links of its own, and puts the kernel's
// settings back.
type upstreamNode struct {
	*upstream
	dir       string
	fresh     []string // folders elsewhere that were not there before
	processes map[string]*exec.Cmd
	settings  settings
	// containerdConfig is a file.
	containerdConfig string
}

// startNode gives upstream's control plane a node that has the images.
func (b *bench) startNode(ctx context.Context) (_ *upstreamNode, err error) {
	dir, err := os.MkdirTemp(b.dir, "knarr-bench-node-")
	if err != nil {
		return nil, err
	}
	n := &upstreamNode{upstream: b.upstream, dir: dir, processes: map[string]*exec.Cmd{}}
	for _, folder := range elsewhere {
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			n.fresh = append(n.fresh, folder)
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.end(context.WithoutCancel(ctx)))
		}
	}()
	if n.settings, err = keepSettings(); err != nil {
		return nil, err
	}
	if err := unpackPrograms(filepath.Join(b.images, "knarr.io_upstream-node_1.tar"), dir); err != nil {
		return nil, err
	}
	if err := n.writeNodeFiles(); err != nil {
		return nil, err
	}
	if err := n.startContainerd(ctx, filepath.Join(b.images, "knarr.io_hello_1.tar"), filepath.Join(b.images, "registry.k8s.io_pause_3.10.2.tar")); err != nil {
		return nil, err
	}
	address, err := b.cluster.nodeAddress(ctx)
	if err != nil {
		return nil, err
	}
	return n, n.startKubelet(ctx, address)
}

// nodeAddress is the machine's, which a kubelet looks for by name otherwise.
func (c *cluster) nodeAddress(ctx context.Context) (string, error) {
	nodes, _, err := client.For[*corev1.Node](c.client).List(ctx, "", metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for _, n := range nodes {
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				return a.Address, nil
			}
		}
	}
	return "", errors.New("the node has no address")
}

func (n *upstreamNode) at(name string) string { return filepath.Join(n.dir, name) }

// spawn starts a program of the node's.
func (n *upstreamNode) spawn(name, program string, args ...string) error {
	log, err := os.Create(n.at(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, log, log
	cmd.Env = append(os.Environ(), "PATH="+n.at("bin")+":"+os.Getenv("PATH"), "LD_LIBRARY_PATH="+n.at("lib"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start upstream's %s: %w", name, err)
	}
	n.processes[name] = cmd
	return nil
}

// await looks until a step of a program is done, and tells its log if not.
func (n *upstreamNode) await(ctx context.Context, name string, done func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, upstreamWait)
	defer cancel()
	for {
		err := done(ctx)
		if err == nil {
			return nil
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			said, _ := os.ReadFile(n.at(name + ".log"))
			return fmt.Errorf("upstream's %s is not ready after %v: %w:\n%s", name, upstreamWait, err, said[max(0, len(said)-4096):])
		}
	}
}

func (n *upstreamNode) startContainerd(ctx context.Context, archives ...string) error {
	if err := n.spawn("containerd", n.at("bin/containerd"), "--config", n.containerdConfig); err != nil {
		return err
	}
	if err := n.await(ctx, "containerd", func(ctx context.Context) error { return n.ctr(ctx, "version") }); err != nil {
		return err
	}
	for _, archive := range archives {
		if err := n.ctr(ctx, "-n", "k8s.io", "images", "import", archive); err != nil {
			return err
		}
	}
	return nil
}

func (n *upstreamNode) ctr(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, n.at("bin/ctr"), append([]string{"-a", n.at("containerd.sock")}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (n *upstreamNode) startKubelet(ctx context.Context, address string) error {
	if err := n.spawn("kubelet", filepath.Join(n.bin, "kubelet"), "--kubeconfig="+n.path("kubeconfig"), "--config="+n.at("kubelet.yaml"),
		"--root-dir="+n.at("kubelet"), "--cert-dir="+n.at("kubelet-certs"), "--hostname-override="+nodeName, "--node-ip="+address); err != nil {
		return err
	}
	set, err := n.target().clientset(encodings[1])
	if err != nil {
		return err
	}
	return n.await(ctx, "kubelet", func(ctx context.Context) error {
		node, err := set.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err == nil && (!nodeReady(node) || len(node.Spec.Taints) > 0) {
			err = fmt.Errorf("the node has conditions %v and taints %v", node.Status.Conditions, node.Spec.Taints)
		}
		return err
	})
}

// everything is the control plane with its node.
func (n *upstreamNode) everything() *target {
	t := n.target()
	for name, cmd := range n.processes {
		t.pids[name] = cmd.Process.Pid
	}
	return t
}

// end stops the node and removes what it left.
func (n *upstreamNode) end(ctx context.Context) error {
	var errs []error
	for _, name := range []string{"kubelet", "containerd"} {
		cmd := n.processes[name]
		if cmd == nil {
			continue
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // a program that is told to stop says so
		late.Stop()
	}
	errs = append(errs, n.killShims(), n.unmount(), n.removeGroups(ctx), n.settings.restore(), os.RemoveAll(n.dir))
	for _, folder := range n.fresh {
		errs = append(errs, os.RemoveAll(folder))
	}
	return errors.Join(errs...)
}
