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
// folder of what was built for it.
const inside = "KNARR_REALTEST_BUILT"

// imageArchive is the archive of the containers' image in that folder.
const imageArchive = "example.test_busybox_1.tar"

// TestMain builds the runtime and an image, and runs the tests in a network namespace of
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
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
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

// build makes the runtime's programs and the image in dir.
func build(dir string) error {
	root, err := filepath.Abs("../../../..")
	if err != nil {
		return err
	}
	if out, err := exec.Command("make", "-C", filepath.Join(root, "runtime"), "OUT="+dir).CombinedOutput(); err != nil {
		return fmt.Errorf("the runtime does not build (it needs gcc, pkg-config and libseccomp-dev): %w\n%s", err, out)
	}
	image := exec.Command("go", "run", "./tools/image", "-out", dir, "internal/node/nodetest/realtest/testdata/busybox.yaml")
	image.Dir = root
	if out, err := image.CombinedOutput(); err != nil {
		return fmt.Errorf("the image does not build (its packages come from Debian's archive): %w\n%s", err, out)
	}
	return nil
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
