package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// report is everything that one run found.
type report struct {
	Machine string      `json:"machine"`
	Commit  string      `json:"commit"`
	Time    time.Time   `json:"time"`
	Before  calibration `json:"before"`
	After   calibration `json:"after"`
	Figures []figure    `json:"figures"`
	// Upstream are the same measures of upstream's control plane, if it was
	// measured in the same run.
	Upstream []figure `json:"upstream,omitempty"`
	// Failed are measurements that gave no figure, with the reason.
	Failed []failure `json:"failed,omitempty"`
	// Missing are measurements that the run did not come to.
	Missing []string `json:"missing,omitempty"`
	// Seconds is how long each measurement took.
	Seconds map[string]float64 `json:"seconds"`
}

// failure is a measurement that failed.
type failure struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// newReport tells where and of what the figures are.
func newReport() report {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	return report{
		Machine: fmt.Sprintf("%d cores, Linux %s", runtime.NumCPU(), strings.TrimSpace(string(kernel))),
		Commit:  strings.TrimSpace(string(commit)),
		Time:    time.Now().UTC().Truncate(time.Second),
		Seconds: map[string]float64{},
	}
}

// about is what stands above every table.
func (r report) about() string {
	var missing string
	if len(r.Missing) > 0 {
		missing = "The run was ended before it measured: " + strings.Join(r.Missing, ", ") + ".\n"
	}
	for _, f := range r.Failed {
		missing += "Not measured, since it failed: " + f.Name + ": " + f.Why + "\n"
	}
	return missing + fmt.Sprintf("Machine: %s; commit %s; %s.\n"+
		"Calibration before and after: one-core SHA-256 %s and %s MB/s, fdatasync p50 %s and %s ms, "+
		"runnable tasks of others (load average) %s and %s.\n"+
		"Driver and what is measured share the cores: CPU per operation is the figure, time and rate the illustration.\n\n",
		r.Machine, r.Commit, r.Time.Format(time.DateTime),
		number(r.Before.HashMBps), number(r.After.HashMBps), number(r.Before.SyncMs), number(r.After.SyncMs),
		number(r.Before.Load), number(r.After.Load))
}

func (r report) markdown() string {
	var text strings.Builder
	text.WriteString("# Benchmarks\n\nMade by `make bench` on a cluster of its own; nobody edits this file.\n\n" + r.about() + head)
	for _, f := range r.Figures {
		text.WriteString(f.line() + "\n")
	}
	return text.String()
}

// comparison is the report beside upstream, as ratios.
func (r report) comparison() string {
	var text strings.Builder
	text.WriteString("# Benchmarks beside upstream\n\n" +
		"Made by `make bench-upstream`: the same drivers against Knarr and against upstream's control plane " +
		"(" + upstreamVersions + "), in turns, in one run on one machine; nobody edits this file.\n" +
		"Upstream's CPU and memory are those of its four processes, Knarr's those of its server, which is all four of them and more.\n\n" +
		r.about() +
		"| measure | Knarr | upstream | Knarr is better by | CPU ms/op: Knarr | upstream | Knarr is better by |\n|---|---|---|---|---|---|---|\n")
	theirs := map[string]figure{}
	for _, f := range r.Upstream {
		theirs[f.Name] = f
	}
	for _, ours := range r.Figures {
		other, ok := theirs[ours.Name]
		if !ok {
			continue
		}
		fmt.Fprintf(&text, "| %s | %s %s | %s %s | %s | %s | %s | %s |\n", ours.Name, number(ours.Median), ours.Unit,
			number(other.Median), other.Unit, lead(ours, other), orEmpty(ours.CPU), orEmpty(other.CPU), ratio(other.CPU, ours.CPU))
	}
	return text.String()
}

// lead is how many times better ours is: a rate is good when it is high,
// everything else when it is low.
func lead(ours, theirs figure) string {
	if strings.HasSuffix(ours.Unit, "/s") {
		ours, theirs = theirs, ours
	}
	return ratio(theirs.Median, ours.Median)
}

func ratio(theirs, ours float64) string {
	if theirs == 0 || ours == 0 {
		return ""
	}
	return number(theirs/ours) + "×"
}

// write puts text for people and JSON for machines.
func (r report) write(text, markdown, data string) error {
	if err := os.WriteFile(markdown, []byte(text), 0o644); err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(data, append(encoded, '\n'), 0o644)
}
