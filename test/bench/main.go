// Command bench measures what Knarr's budgets are about, on a cluster of its
// own that it brings up and takes down: start-up, memory, idle CPU, pods,
// recovery, and the API. It writes docs/benchmarks.md, each figure beside its
// budget, and the same as JSON.
//
//	make bench [ONLY=regexp]
//
// Driver and cluster share the machine's cores: where CPU per operation is
// given, that is the figure, and operations per second the illustration.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	var o options
	flag.StringVar(&o.knarr, "knarr", "bin/knarr", "the program to measure")
	flag.StringVar(&o.images, "images", "bin/images", "folder of image archives")
	flag.StringVar(&o.report, "report", "docs/benchmarks.md", "where the report goes; the JSON goes beside the program")
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
	knarr, images, report string
	only                  *regexp.Regexp
	whole, beside         bool
}

// measurement is one thing that is measured; it may give several figures.
type measurement struct {
	name string
	run  func(context.Context, *cluster) ([]figure, error)
}

// measurements are in an order in which each leaves a cluster that the next
// can use.
func measurements() []measurement {
	return []measurement{
		{"start", measureStart},
		{"idle", measureIdle},
		{"pod", measurePods},
		{"replicas", measureReplicas},
		{"recovery", measureRecovery},
		{"api", measureAPI},
		{"list", measureList},
	}
}

func run(ctx context.Context, o options) error {
	before, err := calibrate()
	if err != nil {
		return err
	}
	c, err := newCluster(o)
	if err != nil {
		return err
	}
	defer c.remove()
	var all []figure
	for _, m := range measurements() {
		if !o.only.MatchString(m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring: %s\n", m.name)
		if err := c.ensureUp(ctx); err != nil {
			return err
		}
		figures, err := m.run(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, f := range figures {
			fmt.Println(f.line())
		}
		all = append(all, figures...)
	}
	after, err := calibrate()
	if err != nil || !o.whole {
		return err
	}
	r := report{Machine: machineOf(), Before: before, After: after, Figures: all}
	return r.write(o.report, filepath.Join(filepath.Dir(o.knarr), "benchmarks.json"))
}
