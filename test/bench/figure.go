package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// figure is one result with its spread and budget.
type figure struct {
	Name   string
	Unit   string
	Median float64
	Min    float64
	Max    float64
	N      int
	Budget string
	Note   string
}

// spread makes a figure of samples.
func spread(name, unit, budget string, samples []float64) figure {
	slices.Sort(samples)
	n := len(samples)
	return figure{Name: name, Unit: unit, Budget: budget, Median: samples[n/2], Min: samples[0], Max: samples[n-1], N: n}
}

// single makes a figure of one value.
func single(name, unit, budget string, value float64) figure {
	return spread(name, unit, budget, []float64{value})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (f figure) line() string {
	if f.N == 1 {
		return fmt.Sprintf("| %s | %s %s | | %s |", f.Name, number(f.Median), f.Unit, f.Budget)
	}
	return fmt.Sprintf("| %s | %s %s | %s–%s, n=%d | %s |", f.Name, number(f.Median), f.Unit, number(f.Min), number(f.Max), f.N, f.Budget)
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// report is everything that one run found.
type report struct {
	Machine string
	Before  calibration
	After   calibration
	Figures []figure
}

func machineOf() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	return fmt.Sprintf("%d cores, Linux %s, commit %s, %s", runtime.NumCPU(), strings.TrimSpace(string(kernel)),
		strings.TrimSpace(string(commit)), time.Now().UTC().Format(time.DateOnly))
}

func (r report) write(markdown, data string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# Benchmarks\n\nMade by `make bench` on a cluster of its own; nobody edits this file.\n\n"+
		"Machine: %s.\nCalibration before and after: one-core SHA-256 %s and %s MB/s, fdatasync p50 %s and %s ms. "+
		"Driver and cluster share the cores.\n\n| measure | median | spread | budget |\n|---|---|---|---|\n",
		r.Machine, number(r.Before.HashMBps), number(r.After.HashMBps), number(r.Before.SyncMs), number(r.After.SyncMs))
	for _, f := range r.Figures {
		text.WriteString(f.line() + "\n")
	}
	for _, f := range r.Figures {
		if f.Note != "" {
			fmt.Fprintf(&text, "\n%s: %s\n", f.Name, f.Note)
		}
	}
	if err := os.WriteFile(markdown, []byte(text.String()), 0o644); err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(data, append(encoded, '\n'), 0o644)
}
