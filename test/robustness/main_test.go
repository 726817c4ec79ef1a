package robustness

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

var (
	knarr   = flag.String("knarr", "", "path of the program under test")
	seed    = flag.Uint64("seed", 1, "seed of the faults and requests")
	crashes = flag.Int("crashes", 10, "how many times the server is killed")
	report  = flag.String("report", "", "page that the figures are written into")
	results = flag.String("results", os.TempDir(), "folder for what is needed to understand a failure")
)

// inNamespace marks the process that has a mount namespace of its own.
const inNamespace = "ROBUSTNESS_IN_NAMESPACE"

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Geteuid() != 0 || *knarr == "" {
		fmt.Fprintln(os.Stderr, "robustness: the run needs root and -knarr: `sudo make robustness` gives both")
		os.Exit(1)
	}
	if os.Getenv(inNamespace) != "" {
		os.Exit(m.Run())
	}
	os.Exit(again())
}

// again runs this test once more in a mount namespace, so that no mount stays
// behind however it ends.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "robustness:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}
