package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
)

// slice is how long one CPU profile is: a measurement's end is not known
// beforehand, so there are many, which `go tool pprof` adds up.
const slice = 5 * time.Second

// profile takes profiles of the server, through its API, until stop is called;
// stop takes the heap's too. A server that a measurement kills or restarts
// loses the slice that was running, and no more.
func (c *cluster) profile(ctx context.Context, name string) (stop func() error, err error) {
	if c.profiles == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(c.profiles, 0o755); err != nil {
		return nil, err
	}
	take := func(ctx context.Context, what, file string) error {
		config, err := c.config() // anew: the measurement may have made a new cluster
		if err != nil {
			return err
		}
		transport, err := rest.TransportFor(config)
		if err != nil {
			return err
		}
		return download(ctx, transport, config.Host+"/debug/pprof/"+what, filepath.Join(c.profiles, name+"-"+file+".pprof"))
	}
	running, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; running.Err() == nil; i++ {
			// The last slice ends in its own time, so that it is whole.
			err := take(ctx, fmt.Sprintf("profile?seconds=%d", int(slice.Seconds())), fmt.Sprintf("cpu-%03d", i))
			if err == nil { // in case that the measurement ends with the cluster
				err = take(ctx, "heap", "heap")
			}
			if err != nil {
				_ = pause(running, slice)
			}
		}
	}()
	return func() error {
		end()
		<-done
		if c.client != nil {
			if err := take(ctx, "heap?gc=1", "heap"); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "profiles: go tool pprof -top '%s-cpu-*.pprof' (or -heap.pprof)\n", filepath.Join(c.profiles, name))
		return nil
	}, nil
}

// download writes one answer into a file, or leaves no file.
func download(ctx context.Context, transport http.RoundTripper, address, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, res.Status)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	return os.WriteFile(file, data, 0o644)
}
