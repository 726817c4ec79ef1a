// Package seal keeps containers from writing to the runtime's binary, which
// runs as their first stage (CVE-2019-5736). The library runs that stage from a
// read-only overlay of the binary, which costs nothing; where the kernel does
// not allow that it copies the binary for every start. Then this package runs
// the whole runtime from one sealed copy instead.
package seal

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"github.com/opencontainers/runc/libcontainer/exeseal"
	"golang.org/x/sys/unix"
)

// Ensure returns if starts will be cheap. Otherwise it runs the program again
// from a sealed copy in memory, and returns only on failure. dir is where
// containers' state will be.
func Ensure(dir string, log *slog.Logger) error {
	if exeseal.IsSelfExeCloned() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	exe, err := exeseal.CloneSelfExe(dir)
	if err != nil {
		return fmt.Errorf("protect the runtime's binary: %w", err)
	}
	defer exe.Close()
	if !exeseal.IsCloned(exe) {
		return nil // the overlay works
	}
	log.Info("no read-only overlay of the binary can be made: running from a copy in memory")
	path := "/proc/self/fd/" + strconv.Itoa(int(exe.Fd()))
	return fmt.Errorf("run from a sealed copy: %w", unix.Exec(path, os.Args, os.Environ()))
}
