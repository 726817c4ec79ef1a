package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// measureBuild tells how large the program is, and how long its main module
// takes to build on a machine that has built nothing before: Go's own packages
// count, downloads and the programs within it do not.
func measureBuild(ctx context.Context, c *cluster) ([]figure, error) {
	info, err := os.Stat(c.knarr)
	if err != nil {
		return nil, err
	}
	cache, err := os.MkdirTemp(c.dir, "knarr-bench-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	begun := time.Now()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", cache+"/knarr", "./cmd/knarr")
	cmd.Env = append(os.Environ(), "GOCACHE="+cache)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w: %s", err, out)
	}
	return []figure{
		single("the program, everything in it", "MiB", "", float64(info.Size())/(1<<20)),
		single("cold build of the main module", "s", "", time.Since(begun).Seconds()),
	}, nil
}
