// Command bench measures what Knarr's budgets are about, on a cluster of its
// own that it brings up and takes down: start-up, memory, idle CPU, pods,
// recovery, and the API. It writes docs/benchmarks.md, each figure beside its
// budget, and the same as JSON (bin/bench.json).
//
//	make bench [ONLY=regexp]           all of it, or what matches alone
//	make bench-upstream [ONLY=regexp]  the API's part, in turns with upstream's control plane
//	make profile BENCH=regexp          CPU and heap profiles of the server meanwhile
//
// Driver and cluster share the machine's cores: where CPU per operation is
// given, that is the figure, and operations per second the illustration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

func main() {
	var o options
	flag.StringVar(&o.knarr, "knarr", "bin/knarr", "the program to measure")
	flag.StringVar(&o.images, "images", "bin/images", "folder of image archives")
	flag.StringVar(&o.dir, "dir", "/var/lib", "folder on the disk to measure on; what is made there is removed")
	flag.StringVar(&o.report, "report", "docs/benchmarks.md", "where the report goes")
	flag.StringVar(&o.data, "data", "bin/bench.json", "where the report for machines goes")
	flag.StringVar(&o.upstream, "upstream", "", "folder to build upstream's control plane in, which is then measured too")
	flag.StringVar(&o.profiles, "profiles", "", "folder for CPU and heap profiles of the server")
	flag.BoolVar(&o.beside, "beside", false, "measure although another cluster runs on the machine")
	only := flag.String("only", "", "measure what matches this regular expression alone, and write no report")
	flag.Parse()
	o.only = regexp.MustCompile(*only)
	o.whole = *only == ""
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	knarr, images, dir, report, data, upstream, profiles string

	only          *regexp.Regexp
	whole, beside bool
}

// measurement is one thing that is measured; it may give several figures.
// Either needs a cluster of Knarr's, or any control planes.
type measurement struct {
	name string
	// onDemand: only where -only names it.
	onDemand bool
	cluster  func(context.Context, *cluster) ([]figure, error)
	planes   func(context.Context, []*target) (results, error)
}

// measurements are in an order in which each leaves a cluster that the next
// can use.
func measurements() []measurement {
	return []measurement{
		{name: "start", cluster: measureStart},
		{name: "idle", cluster: measureIdle},
		{name: "pod", cluster: measurePods},
		{name: "replicas", cluster: measureReplicas},
		{name: "policies", cluster: measurePolicies},
		{name: "recovery", cluster: measureRecovery},
		{name: "api", planes: measureAPI},
		{name: "list", planes: measureList},
		{name: "watch", planes: measureWatch},
		{name: "growth", planes: measureGrowth},
		{name: "writes", planes: measureWrites},
		{name: "scheduler", cluster: measureScheduler},
		{name: "simulated", cluster: measureSimulated},
		{name: "nodeloss", cluster: measureNodeLoss},
		{name: "huge", cluster: measureHuge, onDemand: true},
	}
}

func run(ctx context.Context, o options) error {
	r := newReport()
	var err error
	if r.Before, err = calibrate(o.dir); err != nil {
		return err
	}
	c, err := newCluster(o)
	if err != nil {
		return err
	}
	defer c.remove()
	var other *target
	if o.upstream != "" {
		up, err := startUpstream(ctx, o.upstream, o.dir)
		if err != nil {
			return err
		}
		defer up.stop()
		other = up.target()
	}
	todo := slices.DeleteFunc(measurements(), func(m measurement) bool {
		return !o.only.MatchString(m.name) || o.whole && m.onDemand || other != nil && m.planes == nil
	})
	for i, m := range todo {
		fmt.Fprintf(os.Stderr, "measuring: %s\n", m.name)
		if err := c.measure(ctx, m, other, &r); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		r.Missing = nil
		for _, m := range todo[i+1:] {
			r.Missing = append(r.Missing, m.name)
		}
		if err := r.save(o); err != nil {
			return err
		}
	}
	return nil
}

// save writes the report after each measurement, so that a run that is ended
// early keeps what it found, and says what it lacks.
func (r *report) save(o options) (err error) {
	if r.After, err = calibrate(o.dir); err != nil || !o.whole {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.data), 0o755); err != nil {
		return err
	}
	if o.upstream != "" {
		return r.write(r.comparison(), o.report, o.data)
	}
	return r.write(r.markdown(), o.report, o.data)
}

// measure runs one measurement, of Knarr alone or of other too.
func (c *cluster) measure(ctx context.Context, m measurement, other *target, r *report) error {
	if err := c.ensureUp(ctx); err != nil {
		return err
	}
	stop, err := c.profile(ctx, m.name)
	if err != nil {
		return err
	}
	figures := results{}
	if m.planes == nil {
		figures["knarr"], err = m.cluster(ctx, c)
	} else {
		figures, err = c.measurePlanes(ctx, m, other)
	}
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	for _, name := range []string{"knarr", "upstream"} {
		for _, f := range figures[name] {
			fmt.Println(name, f.line())
		}
	}
	r.Figures = append(r.Figures, figures["knarr"]...)
	r.Upstream = append(r.Upstream, figures["upstream"]...)
	return nil
}

func (c *cluster) measurePlanes(ctx context.Context, m measurement, other *target) (results, error) {
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	targets := []*target{t}
	if other != nil {
		targets = append(targets, other)
	}
	return m.planes(ctx, targets)
}
