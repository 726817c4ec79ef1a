package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// rounds is how often each operation is driven, and roundTime how long.
const (
	rounds    = 5
	roundTime = 600 * time.Millisecond
)

// crud drives the ConfigMaps of one target in one encoding.
type crud struct {
	maps    corev1client.ConfigMapInterface
	created atomic.Int64
	// old, if set, is how many of the first objects operations keep to: others
	// may not be there yet.
	old int64
}

// operation is a request that workers repeat; i tells one from the next.
type operation struct {
	name    string
	do      func(c *crud, ctx context.Context, i int64) error
	budgets map[int]budget // by workers
}

type budget struct {
	rate string
	cpu  float64
}

// text is what makes a ConfigMap 1 KiB large.
var text = strings.Repeat("x", 1024)

func operations() []operation {
	return []operation{
		{"create", (*crud).create, map[int]budget{1: {"p50 0.6 ms", 0}, 16: {"4,000 op/s", 0.15}}},
		{"get", (*crud).get, map[int]budget{16: {"6,000 op/s", 0.08}}},
		{"update", (*crud).update, nil},
		{"merge patch", (*crud).patch, nil},
		{"apply", (*crud).apply, map[int]budget{16: {"2,500 op/s", 0.4}}},
	}
}

func (c *crud) name(i int64) string {
	there := c.old
	if there == 0 {
		there = c.created.Load()
	}
	return fmt.Sprintf("crud-%d", 1+i%there)
}

func (c *crud) create(ctx context.Context, _ int64) error {
	return c.createNamed(ctx, fmt.Sprintf("crud-%d", c.created.Add(1)))
}

func (c *crud) createNamed(ctx context.Context, name string) error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"text": text}}
	_, err := c.maps.Create(ctx, cm, metav1.CreateOptions{})
	return err
}

func (c *crud) get(ctx context.Context, i int64) error {
	_, err := c.maps.Get(ctx, c.name(i), metav1.GetOptions{})
	return err
}

func (c *crud) update(ctx context.Context, i int64) error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: c.name(i)}, Data: map[string]string{"text": text, "n": fmt.Sprint(i)}}
	_, err := c.maps.Update(ctx, cm, metav1.UpdateOptions{})
	return err
}

func (c *crud) patch(ctx context.Context, i int64) error {
	_, err := c.maps.Patch(ctx, c.name(i), types.MergePatchType, fmt.Appendf(nil, `{"data":{"n":"%d"}}`, i), metav1.PatchOptions{})
	return err
}

func (c *crud) apply(ctx context.Context, i int64) error {
	doc := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"text":%q,"n":"%d"}}`, c.name(i), text, i)
	_, err := c.maps.Patch(ctx, c.name(i), types.ApplyPatchType, doc, metav1.PatchOptions{FieldManager: "bench", Force: new(true)})
	return err
}

// measureAPI drives each operation in rounds; the targets take turns.
func measureAPI(ctx context.Context, targets []*target) (results, error) {
	out := results{}
	for _, e := range encodings {
		cruds := map[*target]*crud{}
		for _, t := range targets {
			set, err := t.clientset(e)
			if err != nil {
				return nil, err
			}
			cruds[t] = &crud{maps: set.CoreV1().ConfigMaps(namespace)}
		}
		for _, op := range operations() {
			for _, workers := range []int{1, 16, 64} {
				if err := measureOperation(ctx, op, e, workers, targets, cruds, out); err != nil {
					return nil, err
				}
			}
		}
		for t, c := range cruds {
			if err := c.clear(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	return out, nil
}

// clear deletes one by one: a collection as large takes upstream longer than it
// lets a request take.
func (c *crud) clear(ctx context.Context) error {
	return repeat(ctx, 16, c.created.Load(), func(ctx context.Context, i int64) error {
		return ignoreNotFound(c.maps.Delete(ctx, fmt.Sprintf("crud-%d", i), metav1.DeleteOptions{}))
	})
}

func measureOperation(ctx context.Context, op operation, e encoding, workers int, targets []*target, cruds map[*target]*crud, out results) error {
	took, rates, cpus := map[*target][]float64{}, map[*target][]float64{}, map[*target][]float64{}
	for range rounds {
		for _, t := range targets {
			var times []float64
			wall, cpu, err := t.usage(ctx, func(ctx context.Context) (err error) {
				times, err = drive(ctx, workers, roundTime, func(ctx context.Context, i int64) error { return op.do(cruds[t], ctx, i) })
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", op.name, err)
			}
			n := float64(len(times))
			took[t] = append(took[t], times...)
			rates[t] = append(rates[t], n/wall.Seconds())
			cpus[t] = append(cpus[t], milliseconds(cpu)/n)
		}
	}
	b := op.budgets[workers]
	for _, t := range targets {
		label := fmt.Sprintf("%s a 1 KiB ConfigMap, %s, %d workers", op.name, e.name, workers)
		latency := spread(label+": time", "ms", "", took[t])
		rate := spread(label+": rate", "op/s", b.rate, rates[t]).using(cpus[t], b.cpu)
		if workers == 1 {
			latency.Budget, rate.Budget = b.rate, ""
		}
		out.add(t, latency, rate)
	}
	return nil
}
