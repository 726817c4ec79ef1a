package realtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// inside marks the test's process in its network namespace; its value is the
// folder of the built programs.
const inside = "KNARR_REALTEST_PROGRAMS"

// TestMain builds the runtime and runs the tests in a network namespace of
// their own, so that pods' links touch nothing of the machine's.
func TestMain(m *testing.M) {
	if dir := os.Getenv(inside); dir != "" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "network namespace:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	os.Exit(outside())
}

func outside() int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests run containers: run them as root")
		return 1
	}
	dir, err := os.MkdirTemp("", "knarr-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	runtime, err := filepath.Abs("../../../../runtime")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if out, err := exec.Command("make", "-C", runtime, "OUT="+dir).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the runtime does not build (it needs gcc, pkg-config and libseccomp-dev): %v\n%s", err, out)
		return 1
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// prepare gives the namespace what a machine has: loopback, and an address
// that connections to pods can come from.
func prepare() error {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr("192.0.2.1/32")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
