package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Connections say how a load's clients connect.
type Connections int

// NewConnections opens one for every request; KeepAlive goes on with those
// that are open, as browsers and proxies do.
const (
	NewConnections Connections = iota
	KeepAlive
)

// The load's rate: each client asks so often, unless an answer takes longer.
const (
	loadClients = 4
	loadEvery   = 20 * time.Millisecond
)

// Load is a stream of requests that goes on beside the test.
type Load struct {
	what string
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	ok     int
	failed []string
}

// NewLoad fetches the URL some 200 times a second until it is stopped, or the
// test ends. host may be empty for the URL's own.
func NewLoad(t testing.TB, dial Dialer, url, host string, connections Connections) *Load {
	t.Helper()
	return startLoad(t, url+" "+host, func() (func(context.Context) error, func()) {
		client := Browser(dial, connections == KeepAlive)
		client.Timeout = answerTime
		ask := func(ctx context.Context) error { return fetchOK(ctx, client, url, host) }
		return ask, client.CloseIdleConnections
	})
}

func fetchOK(ctx context.Context, client *http.Client, url, host string) error {
	_, err := Fetch(ctx, client, url, host)
	return err
}

// NewQuestions asks a DNS server for a name in the same way.
func NewQuestions(t testing.TB, dial Dialer, server netip.AddrPort, name string) *Load {
	t.Helper()
	return startLoad(t, "the name "+name, func() (func(context.Context) error, func()) {
		return func(ctx context.Context) error { return Resolve(ctx, dial, server, name) }, func() {}
	})
}

// answerTime bounds an answer: who gets none within it has failed, however
// slow the machine is.
const answerTime = time.Minute

// Resolve asks a DNS server for the addresses of a name; none is an error.
func Resolve(ctx context.Context, dial Dialer, server netip.AddrPort, name string) error {
	conn, err := dial(ctx, "udp", server.String())
	if err != nil {
		return err
	}
	c := dns.Conn{Conn: conn}
	defer c.Close()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.TypeA)
	if err := errors.Join(c.SetDeadline(time.Now().Add(answerTime)), c.WriteMsg(q)); err != nil {
		return err
	}
	answer, err := c.ReadMsg()
	if err == nil && len(answer.Answer) == 0 {
		err = fmt.Errorf("%s: no address: %s", name, dns.RcodeToString[answer.Rcode])
	}
	return err
}

// startLoad runs clients, each with a way to ask of its own.
func startLoad(t testing.TB, what string, newClient func() (ask func(context.Context) error, end func())) *Load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &Load{what: what, stop: cancel}
	for range loadClients {
		ask, end := newClient()
		l.done.Go(func() {
			defer end()
			ticker := time.NewTicker(loadEvery)
			defer ticker.Stop()
			for ctx.Err() == nil {
				l.count(ctx, ask(ctx))
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		})
	}
	t.Cleanup(l.Stop)
	return l
}

func (l *Load) count(ctx context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.ok++
	case ctx.Err() == nil:
		l.failed = append(l.failed, fmt.Sprintf("%s %v", time.Now().Format("15:04:05.000"), err))
	}
}

// String names the load.
func (l *Load) String() string { return l.what }

// Stop ends the load.
func (l *Load) Stop() {
	l.stop()
	l.done.Wait()
}

// Count tells how many requests have been answered, and how those that were
// not have failed.
func (l *Load) Count() (answered int, failed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ok, slices.Clone(l.failed)
}

// None fails the test where a request has failed so far. It waits until one
// more is answered.
func (l *Load) None(t testing.TB) {
	t.Helper()
	before, _ := l.Count()
	Await(t, Patience, "further answer to the load on "+l.what, func(context.Context) error {
		if now, failed := l.Count(); now == before {
			return fmt.Errorf("%d requests were answered, %d have failed: %v", now, len(failed), failed)
		}
		return nil
	})
	if answered, failed := l.Count(); len(failed) > 0 {
		t.Errorf("%d of %d requests to %s failed; first %v", len(failed), len(failed)+answered, l.what, failed[:min(5, len(failed))])
	}
}
