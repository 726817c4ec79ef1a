package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bench is one run: what is measured, and what was found so far.
type bench struct {
	options
	cluster  *cluster
	upstream *upstream // nil: Knarr alone
	report   report
}

func run(ctx context.Context, o options) (err error) {
	if err := o.fit(); err != nil {
		return err
	}
	b := &bench{options: o, report: newReport()}
	if b.report.Before, err = calibrate(o.dir); err != nil {
		return err
	}
	if b.cluster, err = newCluster(o); err != nil {
		return err
	}
	defer func() { b.cluster.remove() }() // the one that is there at the end
	if o.upstream != "" {
		if b.upstream, err = startUpstream(ctx, o.upstream, o.dir); err != nil {
			return err
		}
		defer func() { b.upstream.stop() }()
	}
	return b.all(ctx, b.todo())
}

func (b *bench) todo() []measurement {
	return slices.DeleteFunc(measurements(), func(m measurement) bool {
		fits := m.beside == nil
		if b.upstream != nil {
			fits = m.planes != nil || m.beside != nil
		}
		return !fits || !b.only.MatchString(m.name) || b.whole && m.onDemand
	})
}

// all takes the measurements one by one. One that fails costs its own figures:
// the report says why, and the next begins on a new cluster.
func (b *bench) all(ctx context.Context, todo []measurement) error {
	for i, m := range todo {
		fmt.Fprintf(os.Stderr, "measuring: %s\n", m.name)
		begun := time.Now()
		err := b.one(ctx, m)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		took := time.Since(begun).Round(time.Second)
		fmt.Fprintf(os.Stderr, "measured: %s, %v\n", m.name, took)
		b.report.Seconds[m.name] = took.Seconds()
		if err != nil {
			fmt.Fprintf(os.Stderr, "failed: %s: %v\n", m.name, err)
			b.report.Failed = append(b.report.Failed, failure{m.name, strings.Join(strings.Fields(err.Error()), " ")})
			if err := b.renew(ctx); err != nil {
				return err
			}
		}
		b.report.Missing = nil
		for _, m := range todo[i+1:] {
			b.report.Missing = append(b.report.Missing, m.name)
		}
		if err := b.save(); err != nil {
			return err
		}
	}
	if n := len(b.report.Failed); n > 0 {
		return fmt.Errorf("%d of %d measurements failed", n, len(todo))
	}
	return nil
}

// renew begins anew after a failure, whose remains would be measured too.
func (b *bench) renew(ctx context.Context) error {
	b.cluster.remove()
	c, err := newCluster(b.options)
	if err != nil {
		return err
	}
	b.cluster = c
	if b.upstream != nil {
		b.upstream.stop()
		return b.upstream.restart(ctx)
	}
	return nil
}

// one takes one measurement within its time and keeps the figures.
func (b *bench) one(ctx context.Context, m measurement) error {
	limit := m.limit
	if limit == 0 {
		limit = usualLimit
		if b.upstream != nil {
			limit += usualLimit
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer cancel()
	figures, err := b.figures(ctx, m)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		return err
	}
	for _, name := range []string{"knarr", "upstream"} {
		for _, f := range figures[name] {
			fmt.Println(name, f.line())
		}
	}
	b.report.Figures = append(b.report.Figures, figures["knarr"]...)
	b.report.Upstream = append(b.report.Upstream, figures["upstream"]...)
	return nil
}

// figures are those of Knarr, and of upstream too where it is there.
func (b *bench) figures(ctx context.Context, m measurement) (_ results, err error) {
	if err := b.cluster.ensureUp(ctx); err != nil {
		return nil, err
	}
	stop, err := b.cluster.profile(ctx, m.name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	switch {
	case m.cluster != nil:
		figures, err := m.cluster(ctx, b.cluster)
		return results{"knarr": figures}, err
	case m.beside != nil:
		return m.beside(ctx, b)
	}
	t, err := b.cluster.target()
	if err != nil {
		return nil, err
	}
	targets := []*target{t}
	if b.upstream != nil {
		targets = append(targets, b.upstream.target())
	}
	return m.planes(ctx, targets)
}

// save writes the report after each measurement, so that a run that is ended
// early keeps what it found, and says what it lacks.
func (b *bench) save() (err error) {
	if b.report.After, err = calibrate(b.dir); err != nil || !b.whole {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(b.data), 0o755); err != nil {
		return err
	}
	text := b.report.markdown()
	if b.upstream != nil {
		text = b.report.comparison()
	}
	return b.report.write(text, b.options.report, b.data)
}
