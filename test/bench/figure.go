package main

import (
	"fmt"
	"slices"
	"time"
)

// figure is one result with its spread and budget.
type figure struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
	// P99 is of single operations, where they were timed one by one.
	P99 float64 `json:"p99,omitempty"`
	// CPU is the median CPU time of everything measured, in ms for each
	// operation; nothing where it was not taken.
	CPU    float64 `json:"cpuMs,omitempty"`
	Budget string  `json:"budget,omitempty"`
	// CPUBudget is that of CPU, in ms.
	CPUBudget float64 `json:"cpuBudgetMs,omitempty"`
}

// spread makes a figure of samples; it must be given at least one.
func spread(name, unit, budget string, samples []float64) figure {
	sorted := slices.Sorted(slices.Values(samples))
	n := len(sorted)
	f := figure{Name: name, Unit: unit, Budget: budget, Median: sorted[n/2], Min: sorted[0], Max: sorted[n-1], N: n}
	if n >= 100 {
		f.P99 = sorted[n*99/100]
	}
	return f
}

// single makes a figure of one value.
func single(name, unit, budget string, value float64) figure {
	return spread(name, unit, budget, []float64{value})
}

// using adds the CPU time of each operation, in ms; budget 0 means none.
func (f figure) using(samples []float64, budget float64) figure {
	sorted := slices.Sorted(slices.Values(samples))
	f.CPU, f.CPUBudget = sorted[len(sorted)/2], budget
	return f
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// head are the lines above those of figures.
const head = "| measure | median | spread | budget | CPU ms/op | budget |\n|---|---|---|---|---|---|\n"

func (f figure) line() string {
	return fmt.Sprintf("| %s | %s %s | %s | %s | %s | %s |", f.Name, number(f.Median), f.Unit, f.extent(), f.Budget, orEmpty(f.CPU), orEmpty(f.CPUBudget))
}

func (f figure) extent() string {
	switch {
	case f.N == 1:
		return ""
	case f.P99 != 0:
		return fmt.Sprintf("%s–%s, p99 %s, n=%d", number(f.Min), number(f.Max), number(f.P99), f.N)
	}
	return fmt.Sprintf("%s–%s, n=%d", number(f.Min), number(f.Max), f.N)
}

func orEmpty(v float64) string {
	if v == 0 {
		return ""
	}
	return number(v)
}

func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
