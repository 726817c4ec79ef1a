package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/client"
)

// fleetTime bounds each wait for many pods.
const fleetTime = 20 * time.Minute

// fleet is Deployments on simulated nodes.
type fleet struct {
	*cluster
	deployments, replicas int
}

func (f fleet) pods() int { return f.deployments * f.replicas }

// simulate brings up a cluster of its own with so many simulated nodes.
func (c *cluster) simulate(ctx context.Context, nodes int) error {
	if err := c.down(ctx, "--purge"); err != nil {
		return err
	}
	_, err := c.up(ctx, "--simulate", strconv.Itoa(nodes))
	return err
}

// measureSimulated takes 5,000 pods on 1,000 nodes up, through a rolling
// update, and down again, three times.
func measureSimulated(ctx context.Context, c *cluster) ([]figure, error) {
	if err := c.simulate(ctx, 1000); err != nil {
		return nil, err
	}
	f := fleet{cluster: c, deployments: 10, replicas: 500}
	var up, rolled, gone rateOf
	for range 3 {
		if err := up.take(ctx, f, f.create); err != nil {
			return nil, err
		}
		if err := rolled.take(ctx, f, f.roll); err != nil {
			return nil, err
		}
		if err := gone.take(ctx, f, f.clear); err != nil {
			return nil, err
		}
	}
	held, err := f.memory(ctx)
	if err != nil {
		return nil, err
	}
	const where = "10 Deployments of 500 pods on 1,000 simulated nodes: "
	return []figure{
		spread(where+"create to all Ready", "pods/s", "1,000", up.rates).using(up.cpus, 1.7),
		spread(where+"rolling update", "pods/s", "", rolled.rates).using(rolled.cpus, 0),
		spread(where+"delete to gone", "pods/s", "", gone.rates).using(gone.cpus, 0),
		single("the same: resident memory of the server after three rounds", "MiB", "350", held.resident),
	}, c.down(ctx, "--purge")
}

// measureHuge takes 150,000 pods on 5,000 nodes up.
func measureHuge(ctx context.Context, c *cluster) ([]figure, error) {
	if err := c.simulate(ctx, 5000); err != nil {
		return nil, err
	}
	f := fleet{cluster: c, deployments: 150, replicas: 1000}
	var up rateOf
	if err := up.take(ctx, f, f.create); err != nil {
		return nil, err
	}
	held, err := f.memory(ctx)
	if err != nil {
		return nil, err
	}
	const where = "150,000 pods on 5,000 simulated nodes: "
	return []figure{
		spread(where+"create to all Ready", "pods/s", "", up.rates).using(up.cpus, 0),
		single(where+"resident memory of the server", "MiB", "4,096", held.resident),
	}, c.down(ctx, "--purge")
}

// measureNodeLoss lets a node of some hundred pods fail. Most of the time is
// the grace that the control plane gives a node, which is 40 s as upstream's.
func measureNodeLoss(ctx context.Context, c *cluster) ([]figure, error) {
	if err := c.simulate(ctx, 55); err != nil {
		return nil, err
	}
	f := fleet{cluster: c, deployments: 11, replicas: 500}
	if err := f.create(ctx); err != nil {
		return nil, err
	}
	doc := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"yes"}}}`, simulated.Silent)
	begun := time.Now()
	if _, err := client.For[*corev1.Node](c.client).Patch(ctx, "", "simulated-0", types.MergePatchType, doc); err != nil {
		return nil, err
	}
	if err := f.await(ctx, "the loss is seen", func(ready, _ int) bool { return ready < f.pods() }); err != nil {
		return nil, err
	}
	seen := time.Since(begun)
	if err := f.await(ctx, "all pods are replaced", func(ready, _ int) bool { return ready == f.pods() }); err != nil {
		return nil, err
	}
	return []figure{
		single("a node with 100 pods fails: until it is seen", "s", "", seen.Seconds()),
		single("the same: until all are replaced and Ready", "s", "", time.Since(begun).Seconds()),
	}, c.down(ctx, "--purge")
}

// rateOf collects the rate and the CPU time of steps that concern every pod.
type rateOf struct{ rates, cpus []float64 }

func (r *rateOf) take(ctx context.Context, f fleet, step func(context.Context) error) error {
	t, err := f.target()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fleetTime)
	defer cancel()
	wall, cpu, err := t.usage(ctx, step)
	if err != nil {
		return err
	}
	n := float64(f.pods())
	r.rates, r.cpus = append(r.rates, n/wall.Seconds()), append(r.cpus, milliseconds(cpu)/n)
	return nil
}

func (f fleet) memory(ctx context.Context) (memory, error) {
	t, err := f.target()
	if err != nil {
		return memory{}, err
	}
	if err := pause(ctx, 5*time.Second); err != nil { // what is in flight ends
		return memory{}, err
	}
	return memoryOf(t.pids)
}

func (f fleet) create(ctx context.Context) error {
	api := client.For[*appsv1.Deployment](f.client)
	for i := range f.deployments {
		if _, err := api.Create(ctx, f.deployment(i)); err != nil {
			return err
		}
	}
	return f.await(ctx, "all pods are ready", func(ready, _ int) bool { return ready == f.pods() })
}

func (f fleet) deployment(i int) *appsv1.Deployment {
	labels := map[string]string{"app": fmt.Sprint("fleet-", i)}
	spec := podSpec()
	spec.NodeSelector = map[string]string{"type": simulated.Type}
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
	api := client.For[*appsv1.Deployment](f.client)
	doc := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"rolled":"%d"}}}}}`, time.Now().UnixNano())
	for i := range f.deployments {
		if _, err := api.Patch(ctx, namespace, fmt.Sprint("fleet-", i), types.MergePatchType, doc); err != nil {
			return err
		}
	}
	return f.await(ctx, "all pods are replaced", func(ready, updated int) bool { return ready == f.pods() && updated == f.pods() })
}

// clear deletes all, and ends when the last pod is gone.
func (f fleet) clear(ctx context.Context) error {
	api := client.For[*appsv1.Deployment](f.client)
	foreground := metav1.DeletePropagationForeground
	for i := range f.deployments {
		if err := api.Delete(ctx, namespace, fmt.Sprint("fleet-", i), metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
			return err
		}
	}
	for {
		left, _, err := api.List(ctx, namespace, metav1.ListOptions{})
		if err != nil || len(left) == 0 {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d Deployments do not go: %w", len(left), err)
		}
	}
}

// await looks until the numbers of ready and of updated pods are as wanted; no
// pod of an older template counts as ready.
func (f fleet) await(ctx context.Context, what string, done func(ready, updated int) bool) error {
	for {
		list, _, err := client.For[*appsv1.Deployment](f.client).List(ctx, namespace, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready, updated := 0, 0
		for _, d := range list {
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
