package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/internal/client"
)

// services starts every node's keep, unless one runs, and everything under it.
// already tells that all of it ran before as it is wanted.
func (u *upper) services(ctx context.Context) (already bool, err error) {
	nodes := u.live()
	running := make([]bool, len(nodes))
	began := time.Now().Truncate(time.Microsecond) // as leases tell time
	group, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		group.Go(func() (err error) {
			running[i], err = n.startServices(ctx, u.programs, u.logger)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return false, err
	}
	u.started = map[string]time.Time{}
	for i, n := range nodes {
		if !running[i] {
			u.started[n.NodeName] = began
		}
	}
	return len(u.started) == 0, nil
}

// startServices starts what a node runs.
func (s Settings) startServices(ctx context.Context, p programs, logger *slog.Logger) (already bool, err error) {
	k := keep.Client{Socket: s.keepSocket()}
	if _, err := k.List(ctx); err != nil {
		if err := s.startKeep(ctx, p, logger); err != nil {
			return false, err
		}
	}
	already = true
	for _, service := range s.nodeServices(p) {
		existing, err := k.Start(ctx, service)
		if err != nil {
			return false, fmt.Errorf("start the %s of node %s: %w", service.Name, s.NodeName, err)
		}
		already = already && existing
	}
	return already, nil
}

// startKeep runs knarr-keep in a session of its own, so that it outlives the
// terminal, and waits until it answers.
func (s Settings) startKeep(ctx context.Context, p programs, logger *slog.Logger) error {
	devNull, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer devNull.Close()
	argv := []string{p.keep(), "--socket", s.keepSocket(), "--state", s.keepState(), "--log", s.keepLog()}
	var process *os.Process
	err = s.inside(func() (err error) {
		process, err = os.StartProcess(argv[0], argv,
			&os.ProcAttr{Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")}, Files: []*os.File{devNull, devNull, devNull}, Sys: detached()})
		return err
	})
	if err != nil {
		return fmt.Errorf("start knarr-keep: %w", err)
	}
	s.leaveSession(ctx, process.Pid, logger)
	ended := make(chan *os.ProcessState, 1)
	go func() {
		state, _ := process.Wait()
		ended <- state
	}()
	// It listens within a millisecond or two; there is nothing to be told by. A
	// disk that is busy with what was unpacked just now may hold it up for long.
	for deadline := time.Now().Add(standstill); time.Now().Before(deadline); {
		if _, err := (keep.Client{Socket: s.keepSocket()}).List(ctx); err == nil {
			return nil
		}
		select {
		case state := <-ended:
			return fmt.Errorf("knarr-keep ended at once: %v (see %s)", state, s.keepLog())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return errors.New("knarr-keep does not answer")
}

// await waits until the API, the node, the default service account and the
// cluster DNS are ready, and shows when each was.
func (u *upper) await(ctx context.Context, a Credentials) error {
	config := a.config(u.server())
	transport, err := client.NewHTTPS(config, catalog.New())
	if err != nil {
		return err
	}
	c := client.New(transport, catalog.New())
	w := u.watchStart(ctx)
	api := make(chan struct{})
	w.step("API", func(ctx context.Context) error {
		defer close(api)
		return awaitAPI(ctx, config, w.news)
	})
	after := func(f func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			<-api
			return f(ctx)
		}
	}
	for _, n := range u.live() {
		w.step("node "+n.NodeName, after(func(ctx context.Context) error {
			if err := awaitLease(ctx, c, n.NodeName, u.started[n.NodeName]); err != nil {
				return err
			}
			return awaitNode(ctx, c, n.NodeName, time.Time{}, w.news)
		}))
	}
	if n := u.Simulate.count(); n > 0 {
		w.step(fmt.Sprintf("%d simulated nodes", n), after(func(ctx context.Context) error { return awaitSimulated(ctx, c, n, w.news) }))
	}
	w.step("service accounts", after(func(ctx context.Context) error { return awaitAccount(ctx, c) }))
	w.step("cluster DNS", after(func(ctx context.Context) error { return awaitDNS(ctx, u.DNS.String()+":53", u.Domain) }))
	return w.wait()
}

// awaitAPI asks for readiness: keep holds the socket, so that the question
// waits for the server instead of being refused.
func awaitAPI(ctx context.Context, config *rest.Config, news func(string)) error {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return err
	}
	httpClient := &http.Client{Transport: transport}
	last := errors.New("it has not answered")
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := httpClient.Do(req)
		if err == nil {
			body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(strings.TrimSpace(string(body)))
			news(err.Error())
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready: %w", unanswered(ctx, last))
		case <-time.After(20 * time.Millisecond): // it restarts, or is not whole yet
		}
	}
}

// follow watches objects of a kind by name until done says so. A watch that
// breaks, as when the server restarts, is begun again.
func follow[T api.Object](ctx context.Context, c *client.Client, namespace, name string, done func(T) bool) error {
	var last error
	for {
		found, err := followOnce(ctx, c, namespace, name, done)
		if found {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return unanswered(ctx, last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func followOnce[T api.Object](ctx context.Context, c *client.Client, namespace, name string, done func(T) bool) (bool, error) {
	stream, err := client.For[T](c).Watch(ctx, namespace, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return false, err
	}
	defer stream.Stop()
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return false, err
		}
		for _, e := range events {
			if obj, ok := e.Object.(T); ok && done(obj) {
				return true, nil
			}
		}
	}
}

// awaitLease waits for a sign of life of a node agent that was started since: a
// Node may be called Ready from before. Nothing is waited for where the agent
// ran on.
func awaitLease(ctx context.Context, c *client.Client, name string, since time.Time) error {
	if since.IsZero() {
		return nil
	}
	err := follow(ctx, c, corev1.NamespaceNodeLease, name, func(l *coordinationv1.Lease) bool {
		return l.Spec.RenewTime != nil && !l.Spec.RenewTime.Time.Before(since)
	})
	if err != nil {
		return fmt.Errorf("the agent of node %s does not report: %w", name, err)
	}
	return nil
}

// awaitNode waits until the node is ready, and its agent said so since.
func awaitNode(ctx context.Context, c *client.Client, name string, since time.Time, news func(string)) error {
	missing := "it has not registered"
	err := follow(ctx, c, "", name, func(n *corev1.Node) bool {
		missing = unready(n, since)
		news(name + ": " + missing)
		return missing == ""
	})
	if err != nil {
		return fmt.Errorf("node %s is not ready (%s): %w", name, missing, err)
	}
	return nil
}

// unready says why a node is not ready, and nothing for one that is. Taints
// that tell of the start are part of it; those that people set, and those of
// a machine that is short of something, are for `knarr status` to tell.
func unready(n *corev1.Node, since time.Time) string {
	for _, t := range n.Spec.Taints {
		switch t.Key {
		case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeNetworkUnavailable:
			return "it has the taint " + t.ToString()
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			if c.LastHeartbeatTime.Time.Before(since.Truncate(time.Second)) { // the API tells seconds
				return "its agent does not report"
			}
			if c.Status == corev1.ConditionTrue {
				return ""
			}
			return c.Message
		}
	}
	return "it has not told its state"
}

func awaitAccount(ctx context.Context, c *client.Client) error {
	err := follow(ctx, c, metav1.NamespaceDefault, "default", func(*corev1.ServiceAccount) bool { return true })
	if err != nil {
		return fmt.Errorf("the default service account was not made: %w", err)
	}
	return nil
}

// awaitDNS asks for the API's name until it is known: the edge learns names a
// moment after they are there.
func awaitDNS(ctx context.Context, server, domain string) error {
	q := new(mdns.Msg)
	q.SetQuestion("kubernetes.default.svc."+mdns.Fqdn(domain), mdns.TypeA)
	var last error
	for {
		bounded, cancel := context.WithTimeout(ctx, time.Second)
		answer, _, err := new(mdns.Client).ExchangeContext(bounded, q, server)
		cancel()
		if err == nil && len(answer.Answer) > 0 {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster DNS at %s does not know the API: %w", server, unanswered(ctx, last))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
