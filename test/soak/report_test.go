package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// leaks are the figures that lie over their allowance.
func leaks(before, after []figure) []string {
	var over []string
	for i, now := range after {
		if was := before[i]; now.value > was.value+was.allowance {
			over = append(over, fmt.Sprintf("%s: %d before, %d after, %d more are allowed", now.name, was.value, now.value, was.allowance))
		}
	}
	return over
}

// table shows both measurements.
func table(before, after []figure) string {
	var b strings.Builder
	b.WriteString("| what | before | after | may grow by |\n|---|---|---|---|\n")
	for i, was := range before {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", was.name, was.value, after[i].value, was.allowance)
	}
	return b.String()
}

// write writes the report, or with a suffix what belongs to it, where a file is
// named.
func write(suffix string, content []byte) error {
	if *report == "" {
		return nil
	}
	name := *report
	if suffix != "" {
		name = strings.TrimSuffix(name, filepath.Ext(name)) + "-" + suffix
	}
	return os.WriteFile(name, content, 0o644)
}

func TestLeaksAreFound(t *testing.T) {
	before := []figure{{"a", 10, 0}, {"b", 10, 5}}
	for _, tt := range []struct {
		a, b int64
		want []string
	}{
		{10, 15, nil},
		{9, 0, nil},
		{11, 10, []string{"a: 10 before, 11 after, 0 more are allowed"}},
		{10, 16, []string{"b: 10 before, 16 after, 5 more are allowed"}},
	} {
		if got := leaks(before, []figure{{"a", tt.a, 0}, {"b", tt.b, 5}}); !slices.Equal(got, tt.want) {
			t.Errorf("%d and %d: %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}
