// Package footprint gives memory back that only starting up, or a burst of work,
// needed.
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

// Release collects the heap, and gives back what of it is free and the pages of
// the program's file. It is for a process that has become quiet.
func Release() error {
	debug.FreeOSMemory()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer maps.Close()
	regions, err := untouched(maps, self)
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

// untouched finds the mappings of a file that are its pages and nothing else,
// in the form of proc_pid_smaps(5). One that may be written, or that holds
// pages of the process's own, would lose them: a dynamic linker writes into
// mappings before it makes them read-only.
func untouched(maps io.Reader, file string) ([]region, error) {
	var out []region
	var current *region
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) > 0 && !strings.HasSuffix(fields[0], ":"):
			current = nil
			if len(fields) < 6 || fields[5] != file || len(fields[1]) < 2 || fields[1][1] == 'w' {
				continue
			}
			current = &region{}
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &current.start, &current.end); err != nil {
				return nil, fmt.Errorf("read the process's mappings: %q: %w", lines.Text(), err)
			}
		case current != nil && len(fields) == 3 && fields[0] == "Anonymous:":
			if fields[1] == "0" {
				out = append(out, *current)
			}
			current = nil
		}
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
