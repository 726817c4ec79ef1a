package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// ruleChanges is how often an endpoint changes at each number of Services.
const ruleChanges = 100

// measureRules tells how long the change of one endpoint takes from its write
// to the kernel's commit, among ever more Services of two endpoints each.
func measureRules(ctx context.Context, c *cluster) ([]figure, error) {
	var figures []figure
	have := 0
	for _, n := range []int{10, 1000, 10_000} {
		if err := c.addServices(ctx, have, n); err != nil {
			return nil, err
		}
		have = n
		took, err := c.changeEndpoints(ctx)
		if err != nil {
			return nil, err
		}
		figures = append(figures, spread(fmt.Sprintf("change of one endpoint among %d Services, from the write to the kernel", n), "ms", "", took))
	}
	return figures, c.down(ctx, "--purge")
}

func ruleService(i int64) string { return fmt.Sprintf("rule-%d", i) }

// addServices makes the Services from one number to another.
func (c *cluster) addServices(ctx context.Context, from, to int) error {
	services, slices := client.For[*corev1.Service](c.client), client.For[*discoveryv1.EndpointSlice](c.client)
	return repeat(ctx, 16, int64(to-from), func(ctx context.Context, i int64) error {
		name := ruleService(int64(from) + i - 1)
		if _, err := slices.Create(ctx, sliceOf(name, "10.200.0.1", "10.200.0.2")); err != nil {
			return err
		}
		_, err := services.Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}})
		return err
	})
}

// changeEndpoints gives the first Service another endpoint, and another.
func (c *cluster) changeEndpoints(ctx context.Context) ([]float64, error) {
	commits, stop, err := watchCommits()
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := awaitQuiet(ctx, commits); err != nil {
		return nil, err
	}
	slices := client.For[*discoveryv1.EndpointSlice](c.client)
	slice, err := slices.Get(ctx, namespace, ruleService(0))
	if err != nil {
		return nil, err
	}
	var took []float64
	for i := range ruleChanges {
		for len(commits) > 0 {
			<-commits
		}
		slice = slice.DeepCopy()
		slice.Endpoints[1].Addresses = []string{fmt.Sprintf("10.200.%d.3", i+1)}
		begun := time.Now()
		if slice, err = slices.Update(ctx, slice); err != nil {
			return nil, err
		}
		select {
		case <-commits:
			took = append(took, milliseconds(time.Since(begun)))
		case <-time.After(podTime):
			return nil, fmt.Errorf("the kernel was not told of a changed endpoint within %s", podTime)
		}
	}
	return took, nil
}

// awaitQuiet waits until the kernel has been told of everything: until there
// was no commit for two seconds.
func awaitQuiet(ctx context.Context, commits <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 2*podTime)
	defer cancel()
	for {
		select {
		case <-commits:
		case <-time.After(2 * time.Second):
			return nil
		case <-ctx.Done():
			return fmt.Errorf("the kernel is still told of Services: %w", ctx.Err())
		}
	}
}
