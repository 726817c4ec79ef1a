package main

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// How often pods are run for real beside upstream's.
const (
	realPods     = 10
	realReplicas = 10
)

// measureReal runs containers on a node of each side, in turns. Everything
// counts: the control plane, the node's agent and the runtime.
func measureReal(ctx context.Context, b *bench) (_ results, err error) {
	n, err := b.startNode(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if endErr := n.end(context.WithoutCancel(ctx)); err == nil {
			err = endErr
		}
	}()
	ours, err := b.cluster.everything()
	if err != nil {
		return nil, err
	}
	sides := []*target{ours, n.everything()}
	out := results{}
	for _, t := range sides {
		if err := t.measureQuiet(ctx, out); err != nil {
			return nil, err
		}
	}
	took, gone, cpus, replicas := map[*target][]float64{}, map[*target][]float64{}, map[*target][]float64{}, map[*target][]float64{}
	for i := range 1 + realPods { // the first warms up
		for _, t := range sides {
			up, down, cpu, err := t.realPod(ctx, fmt.Sprint("real-", i))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			if i > 0 {
				took[t], gone[t], cpus[t] = append(took[t], milliseconds(up)), append(gone[t], milliseconds(down)), append(cpus[t], milliseconds(cpu))
			}
		}
	}
	for i := range rounds {
		for _, t := range sides {
			up, err := t.realReplicas(ctx, fmt.Sprint("reals-", i))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			replicas[t] = append(replicas[t], up.Seconds())
		}
	}
	for _, t := range sides {
		out.add(t,
			spread("a container: one pod, create to Ready (CPU of its deletion too)", "ms", "", took[t]).using(cpus[t], 0),
			spread("a container: delete a pod that exits on SIGTERM, to gone", "ms", "", gone[t]),
			spread(fmt.Sprintf("containers: %d replicas from create to all available", realReplicas), "s", "", replicas[t]))
	}
	return out, nil
}

// everything is all processes of the cluster's.
func (c *cluster) everything() (*target, error) {
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	t.pids, err = c.processes()
	return t, err
}

// quietTime is how long a control plane with its node is left alone.
const quietTime = 10 * time.Second

func (t *target) measureQuiet(ctx context.Context, out results) error {
	_, cpu, err := t.usage(ctx, func(ctx context.Context) error { return pause(ctx, quietTime) })
	if err != nil {
		return err
	}
	m, err := memoryOf(t.pids)
	if err != nil {
		return err
	}
	out.add(t,
		single("control plane and node, no pods: resident memory", "MiB", "", m.resident),
		single("control plane and node, no pods: anonymous memory", "MiB", "", m.anonymous),
		single("control plane and node, no pods: CPU", "% of a core", "", 100*cpu.Seconds()/quietTime.Seconds()))
	return nil
}

// realPod runs a pod and deletes it.
func (t *target) realPod(ctx context.Context, name string) (up, down, cpu time.Duration, err error) {
	set, err := t.clientset(encodings[1])
	if err != nil {
		return 0, 0, 0, err
	}
	pods := set.CoreV1().Pods(namespace)
	named := metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	_, cpu, err = t.usage(ctx, func(ctx context.Context) (err error) {
		up, err = until(ctx, func(ctx context.Context) (watch.Interface, error) { return pods.Watch(ctx, named) }, func(ctx context.Context) error {
			_, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: podSpec()}, metav1.CreateOptions{})
			return err
		}, func(p *corev1.Pod, _ watch.EventType) bool { return isReady(p) })
		if err != nil {
			return err
		}
		down, err = until(ctx, func(ctx context.Context) (watch.Interface, error) { return pods.Watch(ctx, named) },
			func(ctx context.Context) error { return pods.Delete(ctx, name, metav1.DeleteOptions{}) },
			func(_ *corev1.Pod, e watch.EventType) bool { return e == watch.Deleted })
		return err
	})
	return up, down, cpu, err
}

// realReplicas runs a Deployment until all its pods are available, and then
// deletes it.
func (t *target) realReplicas(ctx context.Context, name string) (time.Duration, error) {
	set, err := t.clientset(encodings[1])
	if err != nil {
		return 0, err
	}
	api := set.AppsV1().Deployments(namespace)
	labels, replicas := map[string]string{"app": name}, int32(realReplicas)
	took, err := until(ctx, func(ctx context.Context) (watch.Interface, error) {
		return api.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	}, func(ctx context.Context) error {
		_, err := api.Create(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()}}}, metav1.CreateOptions{})
		return err
	}, func(d *appsv1.Deployment, _ watch.EventType) bool { return d.Status.AvailableReplicas == replicas })
	if err != nil {
		return 0, err
	}
	background := metav1.DeletePropagationBackground
	if err := api.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		return 0, err
	}
	return took, noPods(ctx, set, name)
}

func noPods(ctx context.Context, set kubernetes.Interface, app string) error {
	for {
		list, err := set.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil || len(list.Items) == 0 {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%d pods of %s do not go: %w", len(list.Items), app, err)
		}
	}
}

// until watches, acts, and tells how long it took to see what is waited for.
func until[T runtime.Object](ctx context.Context, open func(context.Context) (watch.Interface, error), act func(context.Context) error, done func(T, watch.EventType) bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*podTime)
	defer cancel()
	stream, err := open(ctx)
	if err != nil {
		return 0, err
	}
	defer stream.Stop()
	begun := time.Now()
	if err := act(ctx); err != nil {
		return 0, err
	}
	for e := range stream.ResultChan() {
		if object, ok := e.Object.(T); ok && done(object, e.Type) {
			return time.Since(begun), nil
		}
	}
	return 0, fmt.Errorf("the watch ended before: %w", context.Cause(ctx))
}
