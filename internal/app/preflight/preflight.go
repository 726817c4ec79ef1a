// Package preflight looks, before anything of the machine is touched, whether
// it has what Knarr needs, and says of each missing thing how to get it.
package preflight

import (
	"context"
	"errors"
	"sync"

	"github.com/knarr-io/knarr/internal/base/remedy"
)

// Finding is the outcome of one check.
type Finding struct {
	// Name says what was looked at, in a few words.
	Name string
	// Problem is empty where all is well.
	Problem string
	// Remedy is what to do about the problem.
	Remedy string
	// Fatal problems stop Knarr; others it does without.
	Fatal bool
}

// check looks at one thing.
type check struct {
	name string
	run  func(context.Context, Config) *problem
}

// problem is what a check found.
type problem struct {
	what, remedy string
	// tolerable: Knarr does without and says so.
	tolerable bool
}

// Config says where Knarr is going to live.
type Config struct {
	// DataDir need not exist yet.
	DataDir string
}

// Run makes all checks at the same time and returns their findings in a fixed
// order. Without root the others would only repeat that.
func Run(ctx context.Context, cfg Config) []Finding {
	if f := finding(check{"privileges", root}, ctx, cfg); f.Problem != "" {
		return []Finding{f}
	}
	checks := []check{
		{"namespaces", namespaces},
		{"cgroups", cgroups},
		{"overlay file system", overlay},
		{"nftables", packets},
		{"virtual links", links},
		{"seccomp", seccomp},
		{"disk space", space},
		{"SELinux", selinux},
		{"Windows", windows},
	}
	out := make([]Finding, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { out[i] = finding(c, ctx, cfg) })
	}
	all.Wait()
	return out
}

func finding(c check, ctx context.Context, cfg Config) Finding {
	p := c.run(ctx, cfg)
	if p == nil {
		return Finding{Name: c.name}
	}
	return Finding{Name: c.name, Problem: p.what, Remedy: p.remedy, Fatal: !p.tolerable}
}

// Err joins the fatal findings into one error, nil where there is none.
func Err(findings []Finding) error {
	var failed []error
	for _, f := range findings {
		if f.Fatal {
			failed = append(failed, remedy.New(f.Name+": "+f.Problem, f.Remedy))
		}
	}
	return errors.Join(failed...)
}
