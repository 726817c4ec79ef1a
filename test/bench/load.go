package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// Each load asks 200 times a second: new connections one by one, at that pace
// however long answers take, and kept ones by clients that take turns.
const (
	loadPace    = 5 * time.Millisecond
	keepClients = 4
	// answerTime is how long a request may take before it counts as failed.
	answerTime = 5 * time.Second
)

// load is a stream of requests to one address.
type load struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	answered int
	failed   int
	first    error // the first failure
}

// startLoad asks for the address until end is called; keepAlive goes on with
// connections that are open, as browsers and proxies do.
func startLoad(ctx context.Context, address string, keepAlive bool) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{stop: cancel}
	if keepAlive {
		for range keepClients {
			client := browser(true)
			l.done.Go(func() {
				l.pace(ctx, keepClients*loadPace, func() { l.ask(ctx, client, address) })
				client.CloseIdleConnections()
			})
		}
		return l
	}
	client := browser(false)
	l.done.Go(func() {
		l.pace(ctx, loadPace, func() { l.done.Go(func() { l.ask(ctx, client, address) }) })
	})
	return l
}

func browser(keepAlive bool) *http.Client {
	return &http.Client{Timeout: answerTime, Transport: &http.Transport{DisableKeepAlives: !keepAlive, MaxIdleConnsPerHost: 1}}
}

func (l *load) pace(ctx context.Context, every time.Duration, do func()) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			do()
		}
	}
}

// ask makes one request; one that the end of the load breaks off is not counted.
func (l *load) ask(ctx context.Context, client *http.Client, address string) {
	err := get(ctx, client, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.answered++
	case ctx.Err() == nil:
		if l.failed++; l.first == nil {
			l.first = err
		}
	}
}

// end stops the load and tells how many requests were made and how many failed.
func (l *load) end() (made, failed int) {
	l.stop()
	l.done.Wait()
	if l.first != nil {
		fmt.Fprintf(os.Stderr, "%d of %d requests failed, the first: %v\n", l.failed, l.failed+l.answered, l.first)
	}
	return l.answered + l.failed, l.failed
}

func get(ctx context.Context, client *http.Client, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
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
