package main

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// fleet is Deployments on simulated nodes of a control plane.
type fleet struct {
	*target
	api                   kubernetes.Interface
	nodes                 map[string]string // their labels
	deployments, replicas int
}

func (t *target) fleet(nodes map[string]string, deployments, replicas int) (fleet, error) {
	set, err := t.clientset(encodings[1])
	return fleet{target: t, api: set, nodes: nodes, deployments: deployments, replicas: replicas}, err
}

func (f fleet) pods() int { return f.deployments * f.replicas }

// rateOf collects the rate and the CPU time of steps that concern every pod.
type rateOf struct{ rates, cpus []float64 }

func (r *rateOf) take(ctx context.Context, f fleet, step func(context.Context) error) error {
	wall, cpu, err := f.usage(ctx, step)
	if err != nil {
		return err
	}
	n := float64(f.pods())
	r.rates, r.cpus = append(r.rates, n/wall.Seconds()), append(r.cpus, milliseconds(cpu)/n)
	return nil
}

// settling is how long after much work memory is looked at: what is in flight
// ends, and the heap is given back.
const settling = 15 * time.Second

func (f fleet) memory(ctx context.Context) (memory, error) {
	if err := pause(ctx, settling); err != nil {
		return memory{}, err
	}
	return memoryOf(f.pids)
}

func (f fleet) create(ctx context.Context) error {
	for i := range f.deployments {
		if _, err := f.api.AppsV1().Deployments(namespace).Create(ctx, f.deployment(i), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return f.await(ctx, "all pods are ready", func(ready, _ int) bool { return ready == f.pods() })
}

func (f fleet) deployment(i int) *appsv1.Deployment {
	labels := map[string]string{"app": fmt.Sprint("fleet-", i)}
	spec := podSpec()
	spec.NodeSelector = f.nodes
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} { // nobody waits for a lost node to come back
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(0))})
	}
	replicas := int32(f.replicas)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("fleet-", i)},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}},
	}
}

// roll gives every Deployment a new template.
func (f fleet) roll(ctx context.Context) error {
	doc := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"rolled":"%d"}}}}}`, time.Now().UnixNano())
	for i := range f.deployments {
		if _, err := f.api.AppsV1().Deployments(namespace).Patch(ctx, fmt.Sprint("fleet-", i), types.MergePatchType, doc, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return f.await(ctx, "all pods are replaced", func(ready, updated int) bool { return ready == f.pods() && updated == f.pods() })
}

// clear deletes all, and ends when the last pod is gone.
func (f fleet) clear(ctx context.Context) error {
	api := f.api.AppsV1().Deployments(namespace)
	foreground := metav1.DeletePropagationForeground
	for i := range f.deployments {
		if err := api.Delete(ctx, fmt.Sprint("fleet-", i), metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
			return err
		}
	}
	for {
		left, err := api.List(ctx, metav1.ListOptions{})
		if err != nil || len(left.Items) == 0 {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d Deployments do not go: %w", len(left.Items), err)
		}
	}
}

// await looks until the numbers of ready and of updated pods are as wanted; no
// pod of an older template counts as ready.
func (f fleet) await(ctx context.Context, what string, done func(ready, updated int) bool) error {
	for {
		list, err := f.api.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready, updated := 0, 0
		for _, d := range list.Items {
			if d.Status.ObservedGeneration == d.Generation && d.Status.Replicas == d.Status.UpdatedReplicas {
				ready, updated = ready+int(d.Status.ReadyReplicas), updated+int(d.Status.UpdatedReplicas)
			}
		}
		if done(ready, updated) {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait until %s: %d of %d are: %w", what, ready, f.pods(), err)
		}
	}
}
