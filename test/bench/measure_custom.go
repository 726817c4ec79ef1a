package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// customs are as many custom resources as are stored, about 2 KiB each.
const customs = 10_000

// customWatchers watch one custom resource that is updated customWrites times.
const (
	customWatchers = 100
	customWrites   = 100
)

// custom drives the custom resources of one target.
type custom struct {
	target  *target
	boats   dynamic.ResourceInterface
	created atomic.Int64
}

func (t *target) custom() (*custom, error) {
	config := rest.CopyConfig(t.config)
	config.QPS = -1
	set, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", t.name, err)
	}
	return &custom{target: t, boats: set.Resource(schema.GroupVersionResource{Group: boatGroup, Version: "v1", Resource: "boats"}).Namespace(namespace)}, nil
}

// boat is a custom resource of about 2 KiB: a text, and lists of structures as
// other people's have them.
func boat(name string, n int64) *unstructured.Unstructured {
	crew := make([]any, 12)
	for i := range crew {
		crew[i] = map[string]any{"name": fmt.Sprintf("sailor-%d", i), "age": int64(20 + i), "ashore": i%3 == 0}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": boatGroup + "/v1", "kind": "Boat", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"size": n, "log": text, "cargo": map[string]any{"salt": "10", "wool": "20"}, "crew": crew},
	}}
}

func (c *custom) create(ctx context.Context, _ int64) error {
	i := c.created.Add(1)
	_, err := c.boats.Create(ctx, boat(fmt.Sprintf("boat-%d", i), i), metav1.CreateOptions{})
	return err
}

func (c *custom) apply(ctx context.Context, i int64) error {
	name := fmt.Sprintf("boat-%d", 1+i%customs)
	_, err := c.boats.Apply(ctx, name, boat(name, i), metav1.ApplyOptions{FieldManager: "bench", Force: true})
	return err
}

func (c *custom) patch(ctx context.Context, i int64) error {
	_, err := c.boats.Patch(ctx, fmt.Sprintf("boat-%d", 1+i%customs), types.MergePatchType, fmt.Appendf(nil, `{"spec":{"size":%d}}`, i), metav1.PatchOptions{})
	return err
}

func (c *custom) get(ctx context.Context, i int64) error {
	_, err := c.boats.Get(ctx, fmt.Sprintf("boat-%d", 1+i%customs), metav1.GetOptions{})
	return err
}

// measureCustom tells what custom resources cost: from their definition on, to
// 10,000 of them.
func measureCustom(ctx context.Context, targets []*target) (results, error) {
	out := results{}
	for _, t := range targets {
		if err := t.measureDefinitions(ctx, out); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		if err := t.measureBoats(ctx, out); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return out, nil
}

func (t *target) measureBoats(ctx context.Context, out results) (err error) {
	if _, err := t.define(ctx); err != nil {
		return err
	}
	defer func() { _, gone := t.undefine(context.WithoutCancel(ctx)); err = errors.Join(err, gone) }()
	c, err := t.custom()
	if err != nil {
		return err
	}
	before, err := memoryOf(t.pids)
	if err != nil {
		return err
	}
	wall, cpu, err := t.usage(ctx, func(ctx context.Context) error { return repeat(ctx, 16, customs, c.create) })
	if err != nil {
		return err
	}
	after, err := memoryOf(t.pids)
	if err != nil {
		return err
	}
	out.add(t,
		single(fmt.Sprintf("create %d custom resources of 2 KiB, 16 workers", customs), "op/s", "", customs/wall.Seconds()).using([]float64{milliseconds(cpu) / customs}, 0),
		single(fmt.Sprintf("more resident memory for each of %d custom resources of 2 KiB, just created", customs), "KiB", "", 1024*(after.resident-before.resident)/customs))
	if err := c.lists(ctx, out); err != nil {
		return err
	}
	if err := c.operations(ctx, out); err != nil {
		return err
	}
	return c.watches(ctx, out)
}

// operations drives one after the other, in rounds.
func (c *custom) operations(ctx context.Context, out results) error {
	for _, op := range []struct {
		name string
		do   func(context.Context, int64) error
	}{{"get", c.get}, {"merge patch", c.patch}, {"apply", c.apply}} {
		for _, workers := range []int{1, 16} {
			f, err := c.target.driven(ctx, fmt.Sprintf("%s a custom resource of 2 KiB, %d workers", op.name, workers), workers, op.do)
			if err != nil {
				return err
			}
			out.add(c.target, f...)
		}
	}
	return nil
}

// driven repeats an operation in rounds: its time alone, its rate among others.
func (t *target) driven(ctx context.Context, label string, workers int, do func(context.Context, int64) error) ([]figure, error) {
	var took, rates, cpus []float64
	for range rounds {
		var times []float64
		wall, cpu, err := t.usage(ctx, func(ctx context.Context) (err error) {
			times, err = drive(ctx, workers, roundTime, do)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", label, err)
		}
		n := float64(len(times))
		took, rates, cpus = append(took, times...), append(rates, n/wall.Seconds()), append(cpus, milliseconds(cpu)/n)
	}
	if workers == 1 {
		return []figure{spread(label+": time", "ms", "", took).using(cpus, 0)}, nil
	}
	return []figure{spread(label+": rate", "op/s", "", rates).using(cpus, 0)}, nil
}

// lists reads all of them, for the first time and again.
func (c *custom) lists(ctx context.Context, out results) error {
	transport, err := rest.TransportFor(c.target.config)
	if err != nil {
		return err
	}
	address := c.target.config.Host + boatsPath
	list := func(ctx context.Context) error { return fetch(ctx, transport, address, encodings[0].media) }
	wall, _, err := c.target.usage(ctx, list)
	if err != nil {
		return err
	}
	label := fmt.Sprintf("list %d custom resources of 2 KiB, JSON: ", customs)
	out.add(c.target, single(label+"first time", "ms", "", milliseconds(wall)))
	var took, cpus []float64
	for range rounds {
		wall, cpu, err := c.target.usage(ctx, list)
		if err != nil {
			return err
		}
		took, cpus = append(took, milliseconds(wall)), append(cpus, milliseconds(cpu))
	}
	out.add(c.target, spread(label+"again", "ms", "", took).using(cpus, 0))
	return nil
}

// watches update one object while many watch it.
func (c *custom) watches(ctx context.Context, out results) error {
	ctx, cancel := context.WithTimeout(ctx, fanTime)
	defer cancel()
	now, err := c.boats.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	streams, err := c.watchAll(ctx, now.GetResourceVersion())
	if err != nil {
		return err
	}
	var took []float64
	_, cpu, err := c.target.usage(ctx, func(ctx context.Context) (err error) {
		took, err = c.fanOut(ctx, streams)
		return err
	})
	if err != nil {
		return err
	}
	label := fmt.Sprintf("watch a custom resource of 2 KiB, %d watchers, 100 patches/s: ", customWatchers)
	out.add(c.target, spread(label+"patch to event", "ms", "", took),
		single(label+"server CPU for each event delivered", "µs", "", float64(cpu.Microseconds())/(customWatchers*customWrites)))
	return nil
}

func (c *custom) fanOut(ctx context.Context, streams []*http.Response) (took []float64, failed error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, s := range streams {
		all.Go(func() {
			mine, err := readEvents(s, customWrites)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if failed == nil {
				failed = err
			}
		})
	}
	pace := time.NewTicker(fanPace)
	defer pace.Stop()
	for range customWrites {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, sent, strconv.FormatInt(time.Now().UnixNano(), 10))
		if _, err := c.boats.Patch(ctx, "boat-1", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return nil, err
		}
	}
	all.Wait()
	return took, failed
}

// watchAll opens the watches and waits until the server has answered all.
func (c *custom) watchAll(ctx context.Context, version string) ([]*http.Response, error) {
	transport, err := rest.TransportFor(c.target.config)
	if err != nil {
		return nil, err
	}
	query := url.Values{"watch": {"1"}, "resourceVersion": {version}, "fieldSelector": {"metadata.name=boat-1"}}
	return openStreams(ctx, transport, c.target.config.Host+boatsPath+"?"+query.Encode(), customWatchers)
}
