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
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
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
	flag.StringVar(&o.containerd, "containerd", "", "folder with containerd's programs in bin/, to pull images beside Knarr")
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
	knarr, images, dir, report, data, upstream, profiles, containerd string

	only          *regexp.Regexp
	whole, beside bool
}

// usualLimit bounds a measurement that says nothing else: four times what any
// takes on a machine that does nothing besides.
const usualLimit = 10 * time.Minute

// measurement is one thing that is measured; it may give several figures.
// It needs a cluster of Knarr's, any control planes, or both of them.
type measurement struct {
	name string
	// onDemand: only where -only names it.
	onDemand bool
	// limit is how long it may take before it counts as failed; zero: usualLimit,
	// and as long again for each further control plane.
	limit   time.Duration
	cluster func(context.Context, *cluster) ([]figure, error)
	planes  func(context.Context, []*target) (results, error)
	// beside is for runs that measure upstream too, and for nothing else.
	beside func(context.Context, *bench) (results, error)
}

// measurements are in an order in which each leaves a cluster that the next
// can use; those of memory at rest come before what fills it.
func measurements() []measurement {
	return []measurement{
		{name: "start", cluster: measureStart},
		{name: "alone", cluster: measureAlone},
		{name: "idle", cluster: measureIdle},
		{name: "pod", cluster: measurePods},
		{name: "replicas", cluster: measureReplicas},
		{name: "node", cluster: measureNode},
		{name: "images", cluster: measureImages},
		{name: "policies", cluster: measurePolicies},
		{name: "services", cluster: measureServices},
		{name: "throughput", cluster: measureThroughput},
		{name: "names", cluster: measureNames},
		{name: "http", cluster: measureHTTP},
		{name: "rules", cluster: measureRules},
		{name: "recovery", cluster: measureRecovery},
		{name: "real", beside: measureReal, limit: 10 * time.Minute},
		{name: "api", planes: measureAPI},
		{name: "list", planes: measureList},
		{name: "watch", planes: measureWatch},
		{name: "growth", planes: measureGrowth},
		{name: "custom", planes: measureCustom},
		{name: "admission", planes: measureAdmission},
		{name: "writes", planes: measureWrites},
		{name: "kwok", beside: measureKwok, limit: 30 * time.Minute},
		{name: "scheduler", cluster: measureScheduler},
		{name: "simulated", cluster: measureSimulated},
		{name: "nodeloss", cluster: measureNodeLoss},
		{name: "build", cluster: measureBuild, limit: 20 * time.Minute},
		{name: "huge", cluster: measureHuge, onDemand: true, limit: 30 * time.Minute},
	}
}
