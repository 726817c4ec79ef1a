package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// One object is updated so often, at this pace, in each round.
const (
	fanWrites = 200
	fanPace   = 10 * time.Millisecond
	// fanTime bounds a round.
	fanTime = 2 * time.Minute
	fanName = "fan-out"
)

// sent marks when an update was made, so that a watcher knows how long it took.
const sent = "sent-at-ns"

// measureWatch updates one ConfigMap while many watch it. The CPU time includes
// that of the updates, which is nearly all of it where one watches.
func measureWatch(ctx context.Context, targets []*target) (results, error) {
	out := results{}
	for _, size := range []struct {
		watchers int
		budget   string
	}{{1, ""}, {100, "12"}, {1000, "7"}} {
		latency, cpus := map[*target][]float64{}, map[*target][]float64{}
		for range rounds {
			for _, t := range targets {
				took, cpu, err := t.fanOut(ctx, size.watchers)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", t.name, err)
				}
				latency[t] = append(latency[t], took...)
				cpus[t] = append(cpus[t], float64(cpu.Microseconds())/float64(fanWrites*size.watchers))
			}
		}
		for _, t := range targets {
			label := fmt.Sprintf("watch fan-out, JSON, %d watchers, 100 updates/s: ", size.watchers)
			out.add(t, spread(label+"update to event", "ms", "", latency[t]),
				spread(label+"server CPU for each event delivered", "µs", size.budget, cpus[t]))
		}
	}
	return out, nil
}

// fanOut is one round.
func (t *target) fanOut(ctx context.Context, watchers int) (took []float64, cpu time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, fanTime)
	defer cancel()
	set, err := t.clientset(encodings[0])
	if err != nil {
		return nil, 0, err
	}
	maps := set.CoreV1().ConfigMaps(namespace)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fanName}, Data: map[string]string{"text": text[:400]}}
	if object, err = maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return nil, 0, err
	}
	streams, err := t.watchAll(ctx, watchers, object.ResourceVersion)
	if err != nil {
		return nil, 0, err
	}
	_, cpu, err = t.usage(ctx, func(ctx context.Context) error {
		took, err = fanRound(ctx, maps, object, streams)
		return err
	})
	cancel() // ends the watches
	return took, cpu, errors.Join(err, maps.Delete(context.WithoutCancel(ctx), fanName, metav1.DeleteOptions{}))
}

// watchAll opens watches and waits until the server has answered all.
func (t *target) watchAll(ctx context.Context, n int, version string) ([]*http.Response, error) {
	transport, err := rest.TransportFor(t.config)
	if err != nil {
		return nil, err
	}
	query := url.Values{"watch": {"1"}, "resourceVersion": {version}, "fieldSelector": {"metadata.name=" + fanName}}
	return openStreams(ctx, transport, t.config.Host+"/api/v1/namespaces/"+namespace+"/configmaps?"+query.Encode(), n)
}

// openStreams asks for the same watch n times.
func openStreams(ctx context.Context, transport http.RoundTripper, address string, n int) ([]*http.Response, error) {
	streams := make([]*http.Response, n)
	return streams, repeat(ctx, 16, int64(n), func(_ context.Context, i int64) error {
		// The streams live as long as the round, not as long as their opening.
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", encodings[0].media)
		res, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("a watch is answered %s", res.Status)
		}
		streams[i-1] = res
		return nil
	})
}

// fanRound makes the updates and reads what comes of them.
func fanRound(ctx context.Context, maps corev1client.ConfigMapInterface, object *corev1.ConfigMap, streams []*http.Response) ([]float64, error) {
	var mu sync.Mutex
	var took []float64
	var failed error
	var all sync.WaitGroup
	for _, s := range streams {
		all.Go(func() {
			mine, err := readEvents(s, fanWrites)
			mu.Lock()
			defer mu.Unlock()
			took, failed = append(took, mine...), errors.Join(failed, err)
		})
	}
	pace := time.NewTicker(fanPace)
	defer pace.Stop()
	for range fanWrites {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		update := object.DeepCopy()
		update.ResourceVersion = ""
		update.Annotations = map[string]string{sent: strconv.FormatInt(time.Now().UnixNano(), 10)}
		if _, err := maps.Update(ctx, update, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
	}
	all.Wait()
	return took, failed
}

// readEvents reads n events, one a line, and tells how old each was, in ms. It
// does not decode them: the driver shares the cores with the server.
func readEvents(stream *http.Response, n int) ([]float64, error) {
	defer stream.Body.Close()
	lines := bufio.NewReaderSize(stream.Body, 8<<10)
	took := make([]float64, 0, n)
	mark := []byte(`"` + sent + `":"`)
	for range n {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return took, fmt.Errorf("event %d of %d: %w", len(took)+1, n, err)
		}
		_, after, found := bytes.Cut(line, mark)
		digits, _, closed := bytes.Cut(after, []byte(`"`))
		at, err := strconv.ParseInt(string(digits), 10, 64)
		if !found || !closed || err != nil {
			return took, fmt.Errorf("no update in the event %.200q", line)
		}
		took = append(took, milliseconds(time.Duration(time.Now().UnixNano()-at)))
	}
	return took, nil
}
