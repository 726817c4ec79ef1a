package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// cluster is the one that the suite runs against.
type cluster struct {
	*harness.Cluster
	api kubernetes.Interface
}

// onCluster runs f with a cluster, and holds the machine against what it was
// before. The first error is f's own.
func onCluster(ctx context.Context, o options, f func(context.Context, *cluster) error) (result, err error) {
	h, err := harness.New(o.knarr, o.images)
	if err != nil {
		return nil, err
	}
	c := &cluster{Cluster: h}
	before, err := h.Footprint()
	if err != nil {
		return nil, errors.Join(err, h.Close(context.WithoutCancel(ctx)))
	}
	defer func() { err = errors.Join(err, c.end(context.WithoutCancel(ctx), before)) }()
	stop, err := serveImages(h.Machine, o.images)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := c.up(ctx, o); err != nil {
		return nil, err
	}
	result = f(ctx, c)
	if o.keep {
		fmt.Printf("conformance: the cluster stays until you interrupt this: KUBECONFIG=%s, in the network namespace of its processes\n", h.Kubeconfig())
		<-ctx.Done()
	}
	return result, nil
}

// up brings the cluster up, set to pull from the registry.
func (c *cluster) up(ctx context.Context, o options) error {
	file := filepath.Join(c.Dir, "registries.json")
	if err := os.WriteFile(file, registriesFile(c.Machine), 0o644); err != nil {
		return err
	}
	var flags []string
	if o.nodes > 1 {
		flags = []string{"--nodes", strconv.Itoa(o.nodes)}
	}
	if out := c.Up(ctx, append(flags, "--registries", file)...); out.Err != nil {
		return fmt.Errorf("the cluster does not come up: %s", out)
	}
	api, err := c.API()
	if err != nil {
		return err
	}
	c.api = api
	return c.addSystemPods(ctx)
}

// systemPods are names that the suite's scheduling cases look for on every
// node before they begin; where they are missing each case waits a minute.
const systemPods = "kube-proxy-fluentd-elasticsearch-node-problem-detector-"

func (c *cluster) addSystemPods(ctx context.Context) error {
	nodes, err := c.api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the nodes: %w", err)
	}
	for i, node := range nodes.Items {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: systemPods + strconv.Itoa(i+1), Namespace: metav1.NamespaceSystem},
			Spec: corev1.PodSpec{NodeName: node.Name, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				Containers: []corev1.Container{{Name: "pause", Image: "registry.k8s.io/pause:3.10.2"}}},
		}
		if _, err := c.api.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create the pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

// end takes everything away and looks for what is left.
func (c *cluster) end(ctx context.Context, before harness.Footprint) error {
	out := c.Down(ctx, "--purge")
	if out.Err != nil {
		c.Machine.Close()
		return fmt.Errorf("take the cluster down, which lies in %s: %s", c.Dir, out)
	}
	after, err := c.Footprint()
	if left := after.Since(before); err == nil && len(left) > 0 {
		err = fmt.Errorf("the machine is not as it was:\n%s", strings.Join(left, "\n"))
	}
	c.Machine.Close()
	return errors.Join(err, os.RemoveAll(c.Dir))
}
