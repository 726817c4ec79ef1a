package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/client"
)

// namespace is where everything measured lives.
const namespace = metav1.NamespaceDefault

// podRuns is how many pods are started and deleted one after the other.
const podRuns = 50

// podTime bounds each wait.
const podTime = 60 * time.Second

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "hello", Image: image}}}
}

func measurePods(ctx context.Context, c *cluster) ([]figure, error) {
	var ready, gone []float64
	if _, err := c.runPod(ctx, "warm"); err != nil {
		return nil, err
	}
	if _, err := c.deletePod(ctx, "warm"); err != nil {
		return nil, err
	}
	for i := range podRuns {
		name := fmt.Sprintf("pod-%d", i)
		took, err := c.runPod(ctx, name)
		if err != nil {
			return nil, err
		}
		ready = append(ready, milliseconds(took))
		if took, err = c.deletePod(ctx, name); err != nil {
			return nil, err
		}
		gone = append(gone, milliseconds(took))
	}
	up, down := spread("one pod, API create to Ready", "ms", "100", ready), spread("delete a pod that exits on SIGTERM, to gone", "ms", "150", gone)
	up.P99, down.P99 = slices.Sorted(slices.Values(ready))[podRuns*99/100], slices.Sorted(slices.Values(gone))[podRuns*99/100]
	return []figure{up, down}, nil
}

// runPod creates a pod and tells how long it took to be Ready.
func (c *cluster) runPod(ctx context.Context, name string) (time.Duration, error) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: podSpec()}
	return c.timed(ctx, name, func() error {
		_, err := client.For[*corev1.Pod](c.client).Create(ctx, pod)
		return err
	}, func(p *corev1.Pod, t watch.EventType) bool { return isReady(p) })
}

// deletePod deletes a pod and tells how long it took to be gone.
func (c *cluster) deletePod(ctx context.Context, name string) (time.Duration, error) {
	return c.timed(ctx, name, func() error {
		return client.For[*corev1.Pod](c.client).Delete(ctx, namespace, name, metav1.DeleteOptions{})
	}, func(_ *corev1.Pod, t watch.EventType) bool { return t == watch.Deleted })
}

// timed watches a pod, acts, and waits until it is as it should be.
func (c *cluster) timed(ctx context.Context, name string, act func() error, done func(*corev1.Pod, watch.EventType) bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, podTime)
	defer cancel()
	stream, err := client.For[*corev1.Pod](c.client).Watch(ctx, namespace, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return 0, err
	}
	defer stream.Stop()
	start := time.Now()
	if err := act(); err != nil {
		return 0, err
	}
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return 0, fmt.Errorf("wait for pod %s: %w", name, err)
		}
		for _, e := range events {
			if p, ok := e.Object.(*corev1.Pod); ok && done(p, e.Type) {
				return time.Since(start), nil
			}
		}
	}
}

func isReady(p *corev1.Pod) bool {
	for _, cond := range p.Status.Conditions {
		if cond.Type == corev1.PodReady {
			return cond.Status == corev1.ConditionTrue
		}
	}
	return false
}

func measureReplicas(ctx context.Context, c *cluster) ([]figure, error) {
	var figures []figure
	for _, size := range []struct {
		n      int32
		budget string
	}{{10, "0.6"}, {50, "2.5"}} {
		var took []float64
		for i := range 3 {
			name := fmt.Sprintf("scale-%d-%d", size.n, i)
			start := time.Now()
			if err := c.deploy(ctx, name, size.n); err != nil {
				return nil, err
			}
			took = append(took, time.Since(start).Seconds())
			if err := c.undeploy(ctx, name); err != nil {
				return nil, err
			}
		}
		figures = append(figures, spread(fmt.Sprintf("%d replicas from create to all Ready", size.n), "s", size.budget, took))
	}
	return figures, nil
}

// deploy creates a Deployment and waits until all of its pods are available.
func (c *cluster) deploy(ctx context.Context, name string, replicas int32) error {
	ctx, cancel := context.WithTimeout(ctx, podTime)
	defer cancel()
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()}}}
	stream, err := client.For[*appsv1.Deployment](c.client).Watch(ctx, namespace, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return err
	}
	defer stream.Stop()
	if _, err := client.For[*appsv1.Deployment](c.client).Create(ctx, d); err != nil {
		return err
	}
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return fmt.Errorf("wait for %d replicas: %w", replicas, err)
		}
		for _, e := range events {
			if d, ok := e.Object.(*appsv1.Deployment); ok && d.Status.AvailableReplicas == replicas {
				return nil
			}
		}
	}
}

// undeploy deletes a Deployment and waits until its pods are gone.
func (c *cluster) undeploy(ctx context.Context, name string) error {
	background := metav1.DeletePropagationBackground
	if err := client.For[*appsv1.Deployment](c.client).Delete(ctx, namespace, name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		return err
	}
	for range 600 {
		pods, _, err := client.For[*corev1.Pod](c.client).List(ctx, namespace, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return err
		}
		if len(pods) == 0 {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("pods of " + name + " do not go")
}
