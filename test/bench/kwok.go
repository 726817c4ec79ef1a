package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kwokModule pins upstream's simulator of nodes.
const kwokModule = "test/upstream/kwok"

// kwokStages are its own descriptions, in its module, of what its nodes and
// pods do: all at once, as Knarr's.
var kwokStages = []string{
	"node/fast/node-initialize.yaml", "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
	"pod/fast/pod-ready.yaml", "pod/fast/pod-complete.yaml", "pod/fast/pod-delete.yaml",
}

// theirs are the labels of the nodes that kwok plays.
var theirs = map[string]string{"type": "kwok"}

// kwok plays the nodes of one control plane, in a process whose CPU time and
// memory count as the control plane's.
type kwok struct {
	*target
	process *exec.Cmd
	log     *os.File
}

// startKwok builds kwok and lets it play nodes of a control plane; it leaves
// other nodes alone.
func (b *bench) startKwok(ctx context.Context, t *target, kubeconfig string) (_ *kwok, err error) {
	bin, err := filepath.Abs(b.options.upstream)
	if err != nil {
		return nil, err
	}
	if err := buildUpstream(ctx, kwokModule, filepath.Join(bin, "kwok"), "sigs.k8s.io/kwok/cmd/kwok"); err != nil {
		return nil, err
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok")
	list.Dir = kwokModule
	module, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("find kwok's module: %w", err)
	}
	args := []string{"--kubeconfig=" + kubeconfig, "--manage-nodes-with-label-selector=type=kwok", "--node-lease-duration-seconds=40", "--cidr=100.64.0.0/10"}
	for _, stage := range kwokStages {
		args = append(args, "--config="+filepath.Join(strings.TrimSpace(string(module)), "kustomize", "stage", stage))
	}
	k := &kwok{process: exec.Command(filepath.Join(bin, "kwok"), args...)}
	if k.log, err = os.CreateTemp(b.dir, "knarr-bench-kwok-*.log"); err != nil {
		return nil, err
	}
	k.process.Stdout, k.process.Stderr = k.log, k.log
	k.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := k.process.Start(); err != nil {
		k.stop()
		return nil, fmt.Errorf("start kwok: %w", err)
	}
	with := *t
	with.pids = map[string]int{"kwok": k.process.Process.Pid}
	for name, pid := range t.pids {
		with.pids[name] = pid
	}
	k.target = &with
	return k, nil
}

// stop ends the process and removes its log.
func (k *kwok) stop() {
	if k.process.Process != nil {
		_ = k.process.Process.Kill()
		_ = k.process.Wait()
	}
	_ = k.log.Close()
	_ = os.Remove(k.log.Name())
}

// nodes makes so many and waits until all are ready to take pods.
func (k *kwok) nodes(ctx context.Context, count int) error {
	set, err := k.clientset(encodings[1])
	if err != nil {
		return err
	}
	capacity := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("110")}
	err = repeat(ctx, 16, int64(count), func(ctx context.Context, i int64) error {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("kwok-", i), Labels: theirs}, Status: corev1.NodeStatus{Capacity: capacity, Allocatable: capacity}}
		_, err := set.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: make nodes: %w", k.name, err)
	}
	for {
		list, err := set.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "type=kwok"})
		if err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			if nodeReady(&list.Items[i]) && len(list.Items[i].Spec.Taints) == 0 {
				ready++
			}
		}
		if ready == count {
			return nil
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			said, _ := os.ReadFile(k.log.Name())
			return fmt.Errorf("%s: %d of %d nodes of kwok's are ready: %w: %s", k.name, ready, count, err, said[max(0, len(said)-2048):])
		}
	}
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
