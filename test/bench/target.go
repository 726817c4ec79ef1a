package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// target is a control plane that serves the API: Knarr's or upstream's.
// Drivers know nothing else of it, so that both are driven alike.
type target struct {
	name   string
	config *rest.Config
	// pids are the processes whose CPU and memory count.
	pids map[string]int
}

// target is the server of the cluster that is up.
func (c *cluster) target() (*target, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	pids, err := c.processes()
	if err != nil {
		return nil, err
	}
	return &target{name: "knarr", config: config, pids: map[string]int{"server": pids["server"]}}, nil
}

// encodings are how clients and servers may talk.
var encodings = []encoding{{"JSON", "application/json"}, {"protobuf", "application/vnd.kubernetes.protobuf"}}

type encoding struct{ name, media string }

// clientset is upstream's own client, without its limits.
func (t *target) clientset(e encoding) (*kubernetes.Clientset, error) {
	config := rest.CopyConfig(t.config)
	config.QPS = -1
	config.ContentType = e.media
	config.AcceptContentTypes = strings.Join([]string{e.media, "application/json"}, ",")
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", t.name, err)
	}
	return set, nil
}

// usage tells how long f took and how much CPU the target used meanwhile.
func (t *target) usage(ctx context.Context, f func(context.Context) error) (wall, cpu time.Duration, err error) {
	before, err := cpuOf(t.pids)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := f(ctx); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", t.name, err)
	}
	wall = time.Since(start)
	after, err := cpuOf(t.pids)
	return wall, after - before, err
}

// results are the figures of each target, by its name.
type results map[string][]figure

func (r results) add(t *target, figures ...figure) { r[t.name] = append(r[t.name], figures...) }

// ignoreNotFound is for deleting what may be gone.
func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
