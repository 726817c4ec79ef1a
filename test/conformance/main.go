// Command conformance holds a cluster of its own against upstream's e2e suite
// of the same minor version: it builds the suite from its Go module (see
// suite/), serves the images that the suite names from a registry that only
// the cluster can reach, brings the cluster up in network namespaces of its
// own, runs the suite, and writes docs/conformance.md from the JUnit report.
// The machine must be as it was when it has ended.
//
//	make conformance [FOCUS=regexp] [SKIP=regexp] [PROCS=n] [NODES=n]
//	make critest CRITEST=path [FOCUS=regexp] [SKIP=regexp]
//
// Without FOCUS and SKIP it runs every case that upstream calls [Conformance].
// With critest, a binary of kubernetes-sigs/cri-tools, it holds a runtime of
// its own against that, and writes docs/critest.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// options say what to run against what.
type options struct {
	knarr, images string
	// work is the folder for what is built and what a run leaves.
	work string
	// report is written after a whole run alone.
	report      string
	focus, skip string
	procs       int
	nodes       int
	keep        bool
	build       bool
	// critest is the path of the binary, where that is what to run; programs
	// the folder of knarr-keep and knarr-runtime.
	critest, programs string
}

func main() {
	var o options
	flag.StringVar(&o.knarr, "knarr", "bin/knarr", "the program under test")
	flag.StringVar(&o.images, "images", "bin/conformance/images", "OCI image layout of the images that the suite names")
	flag.StringVar(&o.work, "work", "bin/conformance", "folder for the suite and the reports of runs")
	flag.StringVar(&o.report, "report", "docs/conformance.md", "where the report of a whole run goes")
	flag.StringVar(&o.focus, "focus", "", "run the cases whose names match this regular expression")
	flag.StringVar(&o.skip, "skip", "", "leave out the cases whose names match this regular expression")
	flag.IntVar(&o.procs, "procs", 16, "how many cases run at a time")
	flag.IntVar(&o.nodes, "nodes", 2, "how many nodes the cluster has")
	flag.BoolVar(&o.keep, "keep", false, "after the run, leave the cluster until interrupted, to look into it")
	flag.BoolVar(&o.build, "build", true, "build the suite; without, take what an earlier run left in the work folder")
	flag.StringVar(&o.critest, "critest", "", "run this critest binary against a runtime instead of the suite against a cluster")
	flag.StringVar(&o.programs, "programs", "internal/app/payload/bin", "folder of knarr-keep and knarr-runtime, for critest")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// whole tells whether the run is one that the score is made of.
func (o options) whole() bool { return o.focus == "" && o.skip == "" && o.nodes >= 2 }

func run(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: run `sudo make conformance`")
	}
	for _, path := range []*string{&o.knarr, &o.images, &o.work, &o.programs, &o.critest} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	// Now: the tree may move on while the suite runs.
	commit, err := commitOf(ctx)
	if err != nil {
		return err
	}
	if o.critest != "" {
		return runCritest(ctx, o, commit)
	}
	tools, err := buildSuite(ctx, o)
	if err != nil {
		return err
	}
	results := filepath.Join(o.work, "run")
	if err := errors.Join(os.RemoveAll(results), os.MkdirAll(results, 0o755)); err != nil {
		return fmt.Errorf("make room for the results: %w", err)
	}
	suiteErr, err := onCluster(ctx, o, func(ctx context.Context, c *cluster) error { return runSuite(ctx, o, tools, c, results) })
	// What the suite found counts also where something was left behind.
	r, unread := readReport(filepath.Join(results, "junit.xml"))
	if unread != nil {
		return errors.Join(suiteErr, err, unread)
	}
	if ctx.Err() != nil {
		fmt.Print(r.summary())
		return errors.Join(err, errors.New("the run was interrupted: docs/conformance.md is left as it is"))
	}
	return errors.Join(err, r.finish(o, commit))
}

// finish tells the score, and writes the report where the run was whole.
func (r report) finish(o options, commit string) error {
	fmt.Print(r.summary())
	if !o.whole() {
		fmt.Println("A part of the suite only: docs/conformance.md is left as it is.")
		return nil
	}
	return os.WriteFile(o.report, []byte(r.render(commit, o)), 0o644)
}

// label is ginkgo's filter of labels: the conformance cases, unless the focus
// names a feature that has none among them.
func (o options) label() string {
	if strings.Contains(o.focus, "NetworkPolicy") {
		return "Feature: containsAny NetworkPolicy"
	}
	return "Conformance"
}
