package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/knarr-io/knarr/internal/client"
)

const (
	// fullNode is as many pods as a node takes.
	fullNode = 110
	// execs is how often the round trip of a command is measured.
	execs = 50
	// logLines of logLine make fifty megabytes, which rotation still keeps.
	logLines = 500_000
	logLine  = "a line of a log that is as long as lines of logs of programs are, which is about a hundred bytes long"
	shell    = "docker.io/library/busybox:1.35"
)

// measureNode measures what a node does besides starting one pod.
func measureNode(ctx context.Context, c *cluster) ([]figure, error) {
	full, err := c.fill(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.knarrRun(ctx, "image", "import", filepath.Join(c.images, "docker.io_library_busybox_1.35.tar")); err != nil {
		return nil, err
	}
	work, err := c.commands(ctx)
	return append(full, work...), err
}

// fill measures the node's programs with no, ten and all the pods that it takes.
func (c *cluster) fill(ctx context.Context) ([]figure, error) {
	var figures []figure
	for _, n := range []int32{0, 10, fullNode} {
		name := fmt.Sprintf("full-%d", n)
		start := time.Now()
		if n > 0 {
			if err := c.deploy(ctx, name, n); err != nil {
				return nil, err
			}
		}
		took := time.Since(start).Seconds()
		_, busy, err := c.idle(ctx)
		if err != nil {
			return nil, err
		}
		held, err := c.held(n)
		if err != nil {
			return nil, err
		}
		figures = append(figures, held...)
		if n == fullNode {
			figures = append(figures, single(fmt.Sprintf("%d replicas from create to all Ready", n), "s", "", took),
				single(fmt.Sprintf("idle CPU, %d pods", n), "% of a core", "", busy))
		}
		if n > 0 {
			if err := c.undeploy(ctx, name); err != nil {
				return nil, err
			}
		}
	}
	return figures, nil
}

// held is the resident memory of the node's programs with n pods.
func (c *cluster) held(n int32) ([]figure, error) {
	pids, err := c.processes()
	if err != nil {
		return nil, err
	}
	var out []figure
	for _, p := range []struct{ process, name string }{{"knarr-runtime", "runtime"}, {"knarr-keep", "keeper"}, {"server", "agent, with the server in its process"}} {
		m, err := memoryOf(map[string]int{p.process: pids[p.process]})
		if err != nil {
			return nil, err
		}
		out = append(out, single(fmt.Sprintf("resident memory, %d pods: %s", n, p.name), "MiB", "", m.resident))
	}
	return out, nil
}

// commands measures exec, and logs on their way in and out.
func (c *cluster) commands(ctx context.Context) ([]figure, error) {
	const name = "commands"
	script := fmt.Sprintf("until [ -e /go ]; do sleep 0.02; done; yes '%s' | head -n %d; touch /done; exec sleep 100000", logLine, logLines)
	zero := int64(0)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &zero,
		Containers: []corev1.Container{{Name: "main", Image: shell, Command: []string{"sh", "-c", script}}}}}
	if _, err := client.For[*corev1.Pod](c.client).Create(ctx, pod); err != nil {
		return nil, err
	}
	if _, err := c.timed(ctx, name, func() error { return nil }, func(p *corev1.Pod, _ watch.EventType) bool { return isReady(p) }); err != nil {
		return nil, err
	}
	var trips []float64
	for range execs {
		start := time.Now()
		if _, err := c.exec(ctx, name, "true"); err != nil {
			return nil, err
		}
		trips = append(trips, milliseconds(time.Since(start)))
	}
	start := time.Now()
	if _, err := c.exec(ctx, name, "sh", "-c", "touch /go; until [ -e /done ]; do sleep 0.01; done"); err != nil {
		return nil, err
	}
	written := time.Since(start)
	size, read, err := c.readLog(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, err := c.deletePod(ctx, name); err != nil {
		return nil, err
	}
	trip := spread("`exec` of a command, there and back", "ms", "", trips)
	trip.P99 = slices.Sorted(slices.Values(trips))[execs*99/100]
	return []figure{
		trip,
		single("a container's log, written as fast as it goes", "MB/s", "", logLines*float64(len(logLine)+1)/1e6/written.Seconds()),
		single("the same log, read by the API", "MB/s", "", float64(size)/1e6/read.Seconds()),
	}, nil
}

// exec runs a command in a pod, as kubectl does.
func (c *cluster) exec(ctx context.Context, pod string, command ...string) (string, error) {
	config, err := c.config()
	if err != nil {
		return "", err
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	url := set.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	run, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	if err != nil {
		return "", err
	}
	var out strings.Builder
	if err := run.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &out}); err != nil {
		return "", fmt.Errorf("exec %v: %w: %s", command, err, out.String())
	}
	return out.String(), nil
}

// readLog reads what a node has of a pod's log.
func (c *cluster) readLog(ctx context.Context, pod string) (size int64, took time.Duration, err error) {
	config, err := c.config()
	if err != nil {
		return 0, 0, err
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	stream, err := set.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{}).Stream(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer stream.Close()
	size, err = io.Copy(io.Discard, stream)
	return size, time.Since(start), err
}
