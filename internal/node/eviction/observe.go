package eviction

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Disks are folders on the file systems that are watched; Images may be empty
// while it is not known.
type Disks struct{ Node, Images string }

// Observe reads the signals of this machine; one that cannot be read is left
// out.
func Observe(d Disks) map[Signal]Reading {
	out := make(map[Signal]Reading, len(Signals()))
	if r, ok := readMemory(); ok {
		out[MemoryAvailable] = r
	}
	if r, ok := readPIDs(); ok {
		out[PIDAvailable] = r
	}
	readDisk(out, d.Node, NodeFsAvailable, NodeFsInodesFree)
	if d.Images != "" {
		readDisk(out, d.Images, ImageFsAvailable, ImageFsInodesFree)
	}
	return out
}

func readDisk(out map[Signal]Reading, dir string, bytes, inodes Signal) {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Blocks == 0 {
		return
	}
	block := max(fs.Bsize, 1)
	out[bytes] = Reading{Available: int64(fs.Bavail) * block, Capacity: int64(fs.Blocks) * block}
	if fs.Files > 0 { // some file systems do not count them
		out[inodes] = Reading{Available: int64(fs.Ffree), Capacity: int64(fs.Files)}
	}
}

func readMemory() (Reading, bool) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return Reading{}, false
	}
	defer f.Close()
	values := map[string]int64{}
	for scan := bufio.NewScanner(f); scan.Scan() && len(values) < 2; {
		name, rest, _ := strings.Cut(scan.Text(), ":")
		fields := strings.Fields(rest)
		if name != "MemTotal" && name != "MemAvailable" || len(fields) == 0 {
			continue
		}
		if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
			values[name] = n << 10
		}
	}
	return Reading{Available: values["MemAvailable"], Capacity: values["MemTotal"]}, len(values) == 2
}

// readPIDs counts the ids that are left: the kernel bounds processes and
// threads by two settings.
func readPIDs() (Reading, bool) {
	most, ok := readNumber("/proc/sys/kernel/pid_max")
	if threads, known := readNumber("/proc/sys/kernel/threads-max"); known && threads < most {
		most = threads
	}
	text, err := os.ReadFile("/proc/loadavg")
	_, tasks, found := strings.Cut(string(text), "/")
	count, _, _ := strings.Cut(tasks, " ")
	taken, bad := strconv.ParseInt(count, 10, 64)
	if !ok || err != nil || !found || bad != nil {
		return Reading{}, false
	}
	return Reading{Available: max(most-taken, 0), Capacity: most}, true
}

func readNumber(path string) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
