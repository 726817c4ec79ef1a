package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// suiteVersion is what suite/go.mod requires of k8s.io/kubernetes.
const suiteVersion = "1.36.3"

// suiteTools are programs by their paths.
type suiteTools struct{ suite, ginkgo, kubectl string }

// buildSuite builds the suite and what runs it; Go's build cache makes the
// second time short.
func buildSuite(ctx context.Context, o options) (suiteTools, error) {
	t := suiteTools{suite: filepath.Join(o.work, "e2e.test"), ginkgo: filepath.Join(o.work, "ginkgo"), kubectl: filepath.Join(o.work, "kubectl")}
	if err := os.MkdirAll(o.work, 0o755); err != nil {
		return t, err
	}
	if o.build {
		if err := t.compile(ctx); err != nil {
			return t, err
		}
	}
	// The suite wants one path for kubectl; Knarr's is a command of its own.
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' kubectl \"$@\"\n", strings.ReplaceAll(o.knarr, "'", `'\''`))
	return t, os.WriteFile(t.kubectl, []byte(script), 0o755)
}

func (t suiteTools) compile(ctx context.Context) error {
	for _, argv := range [][]string{
		{"test", "-c", "-vet=off", "-trimpath", "-buildvcs=false", "-o", t.suite, "k8s.io/kubernetes/test/e2e"},
		{"build", "-trimpath", "-buildvcs=false", "-o", t.ginkgo, "github.com/onsi/ginkgo/v2/ginkgo"},
	} {
		fmt.Println("conformance: go", strings.Join(argv, " "))
		cmd := exec.CommandContext(ctx, "go", argv...)
		cmd.Dir = filepath.Join("test", "conformance", "suite")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the suite: %w\n%s", err, out)
		}
	}
	return nil
}

// commitOf names the commit under test, with a mark where the tree differs.
func commitOf(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=, with changes").Output()
	if err != nil {
		return "", fmt.Errorf("find the commit: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
