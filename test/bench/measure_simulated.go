package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api/simulated"
)

// own are the labels of Knarr's simulated nodes.
var own = map[string]string{"type": simulated.Type}

// simulate brings up a cluster of its own with so many simulated nodes.
func (c *cluster) simulate(ctx context.Context, nodes, deployments, replicas int) (fleet, error) {
	if err := c.down(ctx, "--purge"); err != nil {
		return fleet{}, err
	}
	if _, err := c.up(ctx, "--simulate", strconv.Itoa(nodes)); err != nil {
		return fleet{}, err
	}
	t, err := c.target()
	if err != nil {
		return fleet{}, err
	}
	return t.fleet(own, deployments, replicas)
}

// measureSimulated takes 5,000 pods on 1,000 nodes up, through a rolling
// update, and down again, three times.
func measureSimulated(ctx context.Context, c *cluster) ([]figure, error) {
	f, err := c.simulate(ctx, 1000, 10, 500)
	if err != nil {
		return nil, err
	}
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
	f, err := c.simulate(ctx, 5000, 150, 1000)
	if err != nil {
		return nil, err
	}
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
// the grace that the control plane gives a node, which is 50 s as upstream's.
func measureNodeLoss(ctx context.Context, c *cluster) ([]figure, error) {
	f, err := c.simulate(ctx, 55, 11, 500)
	if err != nil {
		return nil, err
	}
	if err := f.create(ctx); err != nil {
		return nil, err
	}
	doc := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"yes"}}}`, simulated.Silent)
	begun := time.Now()
	if _, err := f.api.CoreV1().Nodes().Patch(ctx, "simulated-0", types.MergePatchType, doc, metav1.PatchOptions{}); err != nil {
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
