package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/internal/client"
)

// apiTime is how long each operation is driven.
const apiTime = 3 * time.Second

// operation is a request that many workers make; i tells them apart.
type operation struct {
	name   string
	do     func(ctx context.Context, i int64) error
	budget map[int]string // by workers: CPU per operation, or p50 for one
}

func measureAPI(ctx context.Context, c *cluster) ([]figure, error) {
	maps := client.For[*corev1.ConfigMap](c.client)
	data := map[string]string{"text": strings.Repeat("x", 1024)}
	var created atomic.Int64
	operations := []operation{
		{"create a 1 KiB ConfigMap", func(ctx context.Context, _ int64) error {
			name := fmt.Sprintf("bench-%d", created.Add(1))
			_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: data})
			return err
		}, map[int]string{1: "p50 0.6 ms", 16: "4,000 op/s, 0.15 ms CPU"}},
		{"get it", func(ctx context.Context, i int64) error {
			_, err := maps.Get(ctx, namespace, fmt.Sprintf("bench-%d", 1+i%created.Load()))
			return err
		}, map[int]string{16: "6,000 op/s, 0.08 ms CPU"}},
		{"apply it (server-side)", func(ctx context.Context, i int64) error {
			name := fmt.Sprintf("bench-%d", 1+i%created.Load())
			doc := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"n":"%d"}}`, name, i)
			_, err := maps.Apply(ctx, namespace, name, []byte(doc), "bench", true)
			return err
		}, map[int]string{16: "2,500 op/s, 0.4 ms CPU"}},
	}
	var figures []figure
	for _, op := range operations {
		for _, workers := range []int{1, 16} {
			fs, err := c.drive(ctx, op, workers)
			if err != nil {
				return nil, err
			}
			figures = append(figures, fs...)
		}
	}
	return figures, maps.DeleteCollection(ctx, namespace, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name!=kube-root-ca.crt"})
}

// drive lets workers repeat an operation for a while.
func (c *cluster) drive(ctx context.Context, op operation, workers int) ([]figure, error) {
	pids, err := c.processes()
	if err != nil {
		return nil, err
	}
	server := map[string]int{"server": pids["server"]}
	before, err := cpuOf(server)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	var count atomic.Int64
	var mu sync.Mutex
	var took []float64
	var failed error
	var all sync.WaitGroup
	start := time.Now()
	for range workers {
		all.Go(func() {
			var mine []float64
			for bounded.Err() == nil {
				begun := time.Now()
				if err := op.do(ctx, count.Add(1)); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				mine = append(mine, milliseconds(time.Since(begun)))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	all.Wait()
	elapsed := time.Since(start)
	after, err := cpuOf(server)
	if failed != nil || err != nil {
		return nil, fmt.Errorf("%s: %w", op.name, firstOf(failed, err))
	}
	label := fmt.Sprintf("%s, %d workers", op.name, workers)
	n := float64(len(took))
	slices.Sort(took)
	latency := figure{Name: label + ": latency", Unit: "ms", Median: took[len(took)/2], Min: took[0], Max: took[len(took)*99/100], N: len(took), Budget: op.budget[workers]}
	return []figure{
		latency,
		single(label+": rate", "op/s", "", n/elapsed.Seconds()),
		single(label+": server CPU", "ms/op", "", milliseconds(after-before)/n),
	}, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// config is the administrator's.
func (c *cluster) config() (*rest.Config, error) {
	return clientcmd.BuildConfigFromFlags("", c.kubeconfig)
}

func (c *cluster) server() (string, error) {
	config, err := c.config()
	if err != nil {
		return "", err
	}
	return config.Host, nil
}

// listed is how many pods the lists hold.
const listed = 5000

func measureList(ctx context.Context, c *cluster) ([]figure, error) {
	if err := c.fill(ctx); err != nil {
		return nil, err
	}
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, form := range []struct{ name, accept, first, again string }{
		{"JSON", "application/json", "150", "40"},
		{"protobuf", "application/vnd.kubernetes.protobuf", "60", "25"},
	} {
		var took []float64
		for range 8 {
			start := time.Now()
			if err := fetch(ctx, transport, config.Host+"/api/v1/namespaces/"+namespace+"/pods", form.accept); err != nil {
				return nil, err
			}
			took = append(took, milliseconds(time.Since(start)))
		}
		figures = append(figures,
			single(fmt.Sprintf("list %d pods, %s: first time", listed, form.name), "ms", form.first, took[0]),
			spread(fmt.Sprintf("list %d pods, %s: again", listed, form.name), "ms", form.again, took[1:]))
	}
	return figures, client.For[*corev1.Pod](c.client).DeleteCollection(ctx, namespace, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{})
}

// fill creates pods that no node takes: what is measured is the list.
func (c *cluster) fill(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make(chan error, 16)
	for worker := range 16 {
		all.Go(func() {
			for i := worker; i < listed; i += 16 {
				spec := podSpec()
				spec.SchedulerName = "nobody"
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("list-%d", i)}, Spec: spec}
				if _, err := client.For[*corev1.Pod](c.client).Create(ctx, pod); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func fetch(ctx context.Context, transport http.RoundTripper, url, accept string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "identity")
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}
