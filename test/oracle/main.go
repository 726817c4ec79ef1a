// Command oracle holds Knarr's defaults, validation and strategies against
// upstream's own, on mutated objects of every kind. It reports differences by
// what seems to be their cause, each with a case that can be replayed:
//
//	go run . -kind Pod -case 1234
//
// It runs in its module's folder. docs/oracle.md explains it.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/test/oracle/campaign"
	"github.com/knarr-io/knarr/test/oracle/corpus"
	"github.com/knarr-io/knarr/test/oracle/mutate"
	"github.com/knarr-io/knarr/test/oracle/outcome"
	"github.com/knarr-io/knarr/test/oracle/upstream"
)

type options struct {
	cases     uint64
	seed      uint64
	kind      string
	replay    int64
	scenarios string
}

func main() {
	var o options
	flag.Uint64Var(&o.cases, "n", 10000, "cases per kind")
	flag.Uint64Var(&o.seed, "seed", 1, "added to each case's number")
	flag.StringVar(&o.kind, "kind", "", "only kinds whose group/version.Kind matches this regular expression")
	flag.Int64Var(&o.replay, "case", -1, "show one case of the kind instead of running all")
	flag.StringVar(&o.scenarios, "scenarios", "../../internal/api", "folder of the kinds' scenarios")
	flag.Parse()
	klog.SetLogger(logr.Discard()) // upstream's validation tells its own developers things
	clean, err := run(o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(2)
	}
	if !clean {
		os.Exit(1)
	}
}

func run(o options, out io.Writer) (clean bool, err error) {
	campaigns, err := campaigns(o)
	if err != nil {
		return false, err
	}
	if o.replay >= 0 {
		return replay(campaigns, uint64(o.replay), out)
	}
	r := report{groups: map[group]*found{}, known: map[string]int{}}
	for _, c := range campaigns {
		t := tally{name: name(c.Kind)}
		for n := range o.cases {
			played, err := c.Play(n)
			if err != nil {
				return false, fmt.Errorf("%s, case %d: %w", t.name, n, err)
			}
			t.cases++
			if r.add(t.name, played) {
				t.agreeing++
			}
		}
		r.kinds = append(r.kinds, t)
	}
	return r.write(out), nil
}

func name(k *api.Kind) string { return k.GVK.GroupVersion().String() + "." + k.GVK.Kind }

// campaigns prepares every kind that was chosen, in upstream's list's order.
func campaigns(o options) ([]*campaign.Campaign, error) {
	chosen, err := regexp.Compile(o.kind)
	if err != nil {
		return nil, err
	}
	scheme, err := upstream.Scheme()
	if err != nil {
		return nil, err
	}
	constants, err := corpus.Constants()
	if err != nil {
		return nil, err
	}
	all := catalog.New()
	manifests, err := corpus.Manifests(o.scenarios, all.Kinds())
	if err != nil {
		return nil, err
	}
	words := mutate.NewWords(constants)
	for _, k := range all.Kinds() {
		for _, obj := range manifests[k.GVK] {
			words.Learn(obj)
		}
	}
	server := &upstream.Server{Scheme: scheme, User: campaign.Asker()}
	var out []*campaign.Campaign
	for _, theirs := range upstream.Kinds() {
		k := all.Kind(theirs.GVK)
		if k == nil {
			return nil, fmt.Errorf("the catalogue has no %s", theirs.GVK)
		}
		if !chosen.MatchString(name(k)) {
			continue
		}
		c := &campaign.Campaign{Kind: k, Theirs: theirs, Server: server, Words: words, Seed: o.seed}
		if err := c.Prepare(manifests[k.GVK]); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// replay shows one case of each chosen kind: what was written, both answers
// and how they differ.
func replay(campaigns []*campaign.Campaign, number uint64, out io.Writer) (clean bool, err error) {
	clean = true
	for _, c := range campaigns {
		played, err := c.Play(number)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(out, "%s %s\n", name(c.Kind), played.Endpoint())
		show(out, "old", played.Old)
		show(out, "new", played.New)
		answer(out, "ours", played.Ours)
		answer(out, "theirs", played.Theirs)
		for _, d := range played.Differences() {
			clean = false
			fmt.Fprintf(out, "%s %s %s\n    ours:   %s\n    theirs: %s\n", d.What, d.Field, d.Type, d.Ours, d.Theirs)
		}
	}
	return clean, nil
}

func show(out io.Writer, what string, text []byte) {
	if text == nil {
		return
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", " "); err != nil {
		pretty.Write(text)
	}
	fmt.Fprintf(out, "%s: %s\n", what, pretty.Bytes())
}

func answer(out io.Writer, side string, o outcome.Outcome) {
	fmt.Fprintf(out, "%s: %s\n", side, o.Broken)
	for _, c := range o.Causes {
		fmt.Fprintf(out, "    %s: %s\n", c.Field, c.Message)
	}
	for _, w := range o.Warnings {
		fmt.Fprintf(out, "    warning: %s\n", w)
	}
}
