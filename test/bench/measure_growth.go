package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mixedWrites is how many writes the memory is measured after; growth is seen
// at grown objects and at four times as many.
const (
	mixedWrites = 100_000
	grown       = 2000
)

// measureGrowth tells what an operation costs with N and 4N objects there: it
// must not be four times as much.
func measureGrowth(ctx context.Context, targets []*target) (results, error) {
	out := results{}
	for _, n := range []int64{grown, 4 * grown} {
		for _, t := range targets {
			set, err := t.clientset(encodings[1])
			if err != nil {
				return nil, err
			}
			c := &crud{maps: set.CoreV1().ConfigMaps(namespace)}
			if err := repeat(ctx, 16, n, c.create); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			for _, op := range operations()[1:] {
				f, err := t.costOf(ctx, op, c, fmt.Sprintf("%s a ConfigMap of %d, 16 workers", op.name, n))
				if err != nil {
					return nil, err
				}
				out.add(t, f)
			}
			if err := c.clear(ctx); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// costOf drives an operation in rounds.
func (t *target) costOf(ctx context.Context, op operation, c *crud, label string) (figure, error) {
	var rates, cpus []float64
	for range rounds {
		var n float64
		wall, cpu, err := t.usage(ctx, func(ctx context.Context) error {
			took, err := drive(ctx, 16, roundTime, func(ctx context.Context, i int64) error { return op.do(c, ctx, i) })
			n = float64(len(took))
			return err
		})
		if err != nil {
			return figure{}, fmt.Errorf("%s: %w", label, err)
		}
		rates, cpus = append(rates, n/wall.Seconds()), append(cpus, milliseconds(cpu)/n)
	}
	return spread(label, "op/s", "", rates).using(cpus, 0), nil
}

// measureWrites makes 100,000 writes of all kinds and looks at the memory.
func measureWrites(ctx context.Context, targets []*target) (results, error) {
	out := results{}
	for _, t := range targets {
		set, err := t.clientset(encodings[1])
		if err != nil {
			return nil, err
		}
		c := &crud{maps: set.CoreV1().ConfigMaps(namespace), old: 1000}
		if err := repeat(ctx, 16, c.old, c.create); err != nil {
			return nil, err
		}
		wall, cpu, err := t.usage(ctx, func(ctx context.Context) error { return repeat(ctx, 16, mixedWrites, c.mixed) })
		if err != nil {
			return nil, err
		}
		if err := pause(ctx, settling); err != nil {
			return nil, err
		}
		m, err := memoryOf(t.pids)
		if err != nil {
			return nil, err
		}
		out.add(t,
			single("memory after 100,000 mixed writes: resident", "MiB", "200", m.resident),
			single("the same writes, 16 workers", "op/s", "", mixedWrites/wall.Seconds()).using([]float64{milliseconds(cpu) / mixedWrites}, 0))
		if err := c.clear(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mixed is a write: of ten, four create, two update, two patch, one applies and
// one creates and deletes.
func (c *crud) mixed(ctx context.Context, i int64) error {
	switch i % 10 {
	case 1, 3, 5, 7:
		return c.create(ctx, i)
	case 2, 6:
		return c.update(ctx, i)
	case 4, 8:
		return c.patch(ctx, i)
	case 9:
		return c.apply(ctx, i)
	}
	return c.replace(ctx, i)
}

// replace creates an object of its own and deletes it.
func (c *crud) replace(ctx context.Context, i int64) error {
	name := fmt.Sprintf("brief-%d", i)
	if err := c.createNamed(ctx, name); err != nil {
		return err
	}
	return c.maps.Delete(ctx, name, metav1.DeleteOptions{})
}
