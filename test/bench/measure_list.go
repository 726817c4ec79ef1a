package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// listed is how many pods the lists hold; one in rare has the label rare=yes.
const (
	listed = 5000
	rare   = 500
)

// measureList lists pods that no node takes: what is measured is the list.
func measureList(ctx context.Context, targets []*target) (results, error) {
	out := results{}
	for _, t := range targets {
		before, err := memoryOf(t.pids)
		if err != nil {
			return nil, err
		}
		if err := t.fill(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		after, err := memoryOf(t.pids)
		if err != nil {
			return nil, err
		}
		out.add(t, single("more resident memory for each stored pod, 5,000 pods just created", "KiB", "", 1024*(after.resident-before.resident)/listed))
	}
	for _, e := range encodings {
		if err := measureLists(ctx, e, targets, out); err != nil {
			return nil, err
		}
	}
	for _, t := range targets {
		if err := t.clearPods(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func measureLists(ctx context.Context, e encoding, targets []*target, out results) error {
	budgets := map[string][2]string{"JSON": {"150", "40"}, "protobuf": {"60", "25"}}[e.name]
	for _, l := range []struct {
		name         string
		query        url.Values
		first, again string
	}{
		{fmt.Sprintf("list %d pods", listed), nil, budgets[0], budgets[1]},
		{fmt.Sprintf("list %d of %d pods by label", listed/rare, listed), url.Values{"labelSelector": {"rare=yes"}}, "", ""},
	} {
		took, cpus := map[*target][]float64{}, map[*target][]float64{}
		if l.first != "" {
			for _, t := range targets {
				wall, _, err := t.usage(ctx, func(ctx context.Context) error { return t.list(ctx, e, l.query, 1) })
				if err != nil {
					return err
				}
				out.add(t, single(l.name+", "+e.name+": first time", "ms", l.first, milliseconds(wall)))
			}
		}
		for range 2 * rounds {
			for _, t := range targets {
				const times = 5 // in a row: /proc counts CPU time in hundredths of seconds
				wall, cpu, err := t.usage(ctx, func(ctx context.Context) error { return t.list(ctx, e, l.query, times) })
				if err != nil {
					return err
				}
				took[t] = append(took[t], milliseconds(wall)/times)
				cpus[t] = append(cpus[t], milliseconds(cpu)/times)
			}
		}
		for _, t := range targets {
			out.add(t, spread(l.name+", "+e.name+": again", "ms", l.again, took[t]).using(cpus[t], 0))
		}
	}
	return nil
}

func (t *target) list(ctx context.Context, e encoding, query url.Values, times int) error {
	transport, err := rest.TransportFor(t.config)
	if err != nil {
		return err
	}
	for range times {
		if err := fetch(ctx, transport, t.config.Host+"/api/v1/namespaces/"+namespace+"/pods?"+query.Encode(), e.media); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) fill(ctx context.Context) error {
	set, err := t.clientset(encodings[1])
	if err != nil {
		return err
	}
	return repeat(ctx, 16, listed, func(ctx context.Context, i int64) error {
		spec := podSpec()
		spec.SchedulerName = "nobody"
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("list-%d", i), Labels: map[string]string{"app": "list"}}, Spec: spec}
		if i%rare == 0 {
			pod.Labels["rare"] = "yes"
		}
		_, err := set.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
}

func (t *target) clearPods(ctx context.Context) error {
	set, err := t.clientset(encodings[1])
	if err != nil {
		return err
	}
	return repeat(ctx, 16, listed, func(ctx context.Context, i int64) error {
		return ignoreNotFound(set.CoreV1().Pods(namespace).Delete(ctx, fmt.Sprintf("list-%d", i), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
	})
}

// fetch reads one answer to its end.
func fetch(ctx context.Context, transport http.RoundTripper, address, accept string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
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
		return fmt.Errorf("%s answers %s", address, res.Status)
	}
	return nil
}
