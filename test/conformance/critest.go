package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// critestImages name the two images that critest lets one choose.
const critestImages = `defaultTestContainerImage: gcr.io/k8s-staging-cri-tools/busybox:latest
webServerTestImage: registry.k8s.io/e2e-test-images/nginx:1.14-2
`

// runCritest holds a runtime of its own against the critest binary, and writes
// docs/critest.md.
func runCritest(ctx context.Context, o options, commit string) (err error) {
	results := filepath.Join(o.work, "critest")
	if err := errors.Join(os.RemoveAll(results), os.MkdirAll(results, 0o755)); err != nil {
		return fmt.Errorf("make room for the results: %w", err)
	}
	suiteErr, err := onRuntime(ctx, o, func(ctx context.Context, r *runtime) error {
		return r.critest(ctx, o, results)
	})
	if err != nil {
		return err
	}
	report, err := readReport(junitOf(results))
	if err != nil {
		return errors.Join(suiteErr, err)
	}
	fmt.Print(report.summary())
	if ctx.Err() != nil || o.focus != "" || o.skip != "" {
		fmt.Println("A part of the suite only: docs/critest.md is left as it is.")
		return nil
	}
	return os.WriteFile(o.report, []byte(report.renderCritest(commit, versionOf(ctx, o.critest))), 0o644)
}

func junitOf(results string) string { return filepath.Join(results, "junit.xml") }

// critest runs the binary against the runtime.
func (r *runtime) critest(ctx context.Context, o options, results string) error {
	images := filepath.Join(r.dir, "images.yaml")
	if err := os.WriteFile(images, []byte(critestImages), 0o644); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(results, "critest.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	endpoint := "unix://" + r.path("runtime.sock")
	argv := []string{"--runtime-endpoint=" + endpoint, "--image-endpoint=" + endpoint, "--test-images-file=" + images,
		"--config=" + filepath.Join(r.dir, "none.yaml"), "--ginkgo.junit-report=" + junitOf(results), "--ginkgo.no-color"}
	if o.focus != "" {
		argv = append(argv, "--ginkgo.focus="+o.focus)
	}
	if o.skip != "" {
		argv = append(argv, "--ginkgo.skip="+o.skip)
	}
	// An empty file of settings, so that one of the machine does not count.
	if err := os.WriteFile(filepath.Join(r.dir, "none.yaml"), nil, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, o.critest, argv...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = results, log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = endTime
	fmt.Printf("critest: running; follow it in %s\n", log.Name())
	if err := r.machine.Inside(cmd.Start); err != nil {
		return fmt.Errorf("start critest: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("critest ends with %w: see %s", err, log.Name())
	}
	return nil
}

// versionOf is what the binary says of itself.
func versionOf(ctx context.Context, critest string) string {
	out, err := exec.CommandContext(ctx, critest, "--version").Output()
	if err != nil {
		return "of an unknown version"
	}
	return versionIn(string(out))
}

// versionIn finds the version in what critest prints for --version, which is
// a test's output: its verdict stands below.
func versionIn(out string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	return strings.TrimSpace(strings.TrimPrefix(first, "critest version:"))
}
