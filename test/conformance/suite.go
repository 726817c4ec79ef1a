package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// suiteTime bounds a whole run; endTime is what the suite has to clean up in
// after it was interrupted.
const (
	suiteTime = 3 * time.Hour
	endTime   = 90 * time.Second
)

// runSuite runs the chosen cases: in parallel those that allow it, then the
// others one by one. An error says that cases failed, or that it broke off.
func runSuite(ctx context.Context, o options, tools suiteTools, c *cluster, results string) error {
	log, err := os.Create(filepath.Join(results, "ginkgo.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	argv := []string{"--procs=" + strconv.Itoa(o.procs), "--silence-skips", "--no-color", "--label-filter=" + o.label(),
		"--timeout=" + suiteTime.String(), "--output-dir=" + results, "--junit-report=junit.xml"}
	if o.focus != "" {
		argv = append(argv, "--focus="+o.focus)
	}
	if o.skip != "" {
		argv = append(argv, "--skip="+o.skip)
	}
	argv = append(argv, tools.suite, "--", "--provider=skeleton", "--node-os-distro=custom", "--disable-log-dump",
		"--kubeconfig="+c.Kubeconfig(), "--kubectl-path="+tools.kubectl)
	cmd := exec.CommandContext(ctx, tools.ginkgo, argv...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = results, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = endTime
	fmt.Printf("conformance: running the suite; follow it in %s\n", log.Name())
	if err := c.Machine.Inside(cmd.Start); err != nil {
		return fmt.Errorf("start the suite: %w", err)
	}
	// Where ginkgo had to be killed its processes would go on.
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }()
	var failed *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &failed) {
		return fmt.Errorf("the suite ends with %w: see %s", err, log.Name())
	} else if err != nil {
		return fmt.Errorf("run the suite: %w", err)
	}
	return nil
}
