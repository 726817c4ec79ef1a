// Package footprint gives memory back that only starting up needed.
//
// A Go program runs the init of every linked package, and with that touches
// much of a large binary once and never again. Release drops the clean pages
// of the program's own file from the process; those that are used after all
// come back from the page cache at the cost of a minor fault.
package footprint

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Release gives back free heap and the unused pages of the program's file. It
// is called once, after a process has started.
func Release() error {
	debug.FreeOSMemory()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	regions, err := readOnly(maps, self)
	if err != nil {
		return err
	}
	for _, r := range regions {
		if err := r.drop(); err != nil {
			return err
		}
	}
	return nil
}

// region is a mapped range of addresses.
type region struct{ start, end uintptr }

// readOnly finds the mappings of a file that nobody can have written to:
// dropping a page of a writable one would lose what was written.
func readOnly(maps io.Reader, file string) ([]region, error) {
	var out []region
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[5] != file || len(fields[1]) < 2 || fields[1][1] == 'w' {
			continue
		}
		var r region
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &r.start, &r.end); err != nil {
			return nil, fmt.Errorf("read the process's mappings: %q: %w", lines.Text(), err)
		}
		out = append(out, r)
	}
	return out, lines.Err()
}

func (r region) drop() error {
	_, _, errno := unix.Syscall(unix.SYS_MADVISE, r.start, r.end-r.start, unix.MADV_DONTNEED)
	if errno != 0 {
		return fmt.Errorf("give back pages of the program's file: %w", errno)
	}
	return nil
}
