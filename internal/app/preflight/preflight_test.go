package preflight

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestThisMachineIsGoodEnough(t *testing.T) {
	findings := Run(t.Context(), Config{DataDir: filepath.Join(t.TempDir(), "not", "yet", "there")})
	if len(findings) < 7 {
		t.Fatalf("only %d checks were made: %+v", len(findings), findings)
	}
	if err := Err(findings); err != nil {
		t.Error(err)
	}
}

func TestEveryProblemHasARemedy(t *testing.T) {
	bad := check{"x", func(context.Context, Config) *problem { return &problem{what: "it lacks", remedy: "get it"} }}
	mild := check{"y", func(context.Context, Config) *problem {
		return &problem{what: "it lacks", remedy: "do without", tolerable: true}
	}}
	findings := []Finding{finding(bad, t.Context(), Config{}), finding(mild, t.Context(), Config{})}
	err := Err(findings)
	if err == nil || !strings.Contains(err.Error(), "x: it lacks\n    what to do: get it") || strings.Contains(err.Error(), "do without") {
		t.Errorf("got %v", err)
	}
	if Err(findings[1:]) != nil {
		t.Error("what can be done without is no error")
	}
}

func TestDeepestExistingFolder(t *testing.T) {
	dir := t.TempDir()
	if got := existing(filepath.Join(dir, "a", "b")); got != dir {
		t.Errorf("got %s, want %s", got, dir)
	}
}
