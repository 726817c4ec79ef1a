// Command scheduling holds Knarr's scheduling plugins against upstream's own:
// random clusters and pods, by seed, are given to both, and the nodes that
// take the pod, the reasons of those that do not, and each plugin's score must
// be the same. A difference is shown with its case, which can be replayed:
//
//	go run ./scheduling -case 1234
//
// It runs in the module's folder. docs/oracle.md explains it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"
)

func main() {
	cases := flag.Uint64("n", 2000, "cases")
	seed := flag.Uint64("seed", 1, "added to each case's number")
	only := flag.Int64("case", -1, "show one case instead of running all")
	flag.Parse()
	klog.SetLogger(logr.Discard())
	clean, err := run(context.Background(), *cases, *seed, *only, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(2)
	}
	if !clean {
		os.Exit(1)
	}
}

// examples is how many cases of a kind of difference are named.
const examples = 3

func run(ctx context.Context, cases, seed uint64, only int64, out io.Writer) (clean bool, err error) {
	profile, err := upstreamProfile()
	if err != nil {
		return false, err
	}
	play := func(n uint64) ([]difference, *scene, error) {
		s := newScene(seed + n)
		want, err := theirs(ctx, profile, s)
		if err != nil {
			return nil, nil, fmt.Errorf("case %d: %w", n, err)
		}
		return compare(want, ours(s)), s, nil
	}
	if only >= 0 {
		found, s, err := play(uint64(only))
		if err != nil {
			return false, err
		}
		return len(found) == 0, s.show(out, found)
	}
	byKind := map[string][]uint64{}
	for n := range cases {
		found, _, err := play(n)
		if err != nil {
			return false, err
		}
		for _, kind := range kindsOf(found) {
			byKind[kind] = append(byKind[kind], n)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		where := byKind[kind]
		fmt.Fprintf(out, "%s: %d of %d cases, such as %v\n", kind, len(where), cases, where[:min(examples, len(where))])
	}
	fmt.Fprintf(out, "scheduling: %d cases, %d kinds of difference\n", cases, len(byKind))
	return len(byKind) == 0, nil
}

// show writes a case down, for whoever looks for the cause.
func (s *scene) show(out io.Writer, found []difference) error {
	for _, part := range []any{s.nodes, s.pods, s.services, s.pod} {
		text, err := yaml.Marshal(part)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "---\n%s", text)
	}
	for _, d := range found {
		fmt.Fprintln(out, d)
	}
	return nil
}
