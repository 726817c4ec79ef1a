package stats

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// readWord is a small file's text; empty where it cannot be read.
func readWord(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return trimmed(data)
}

// memoryTotals are the machine's memory and swap in bytes.
func memoryTotals() (mem, swap uint64) {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0, 0
	}
	unit := uint64(info.Unit)
	return uint64(info.Totalram) * unit, uint64(info.Totalswap) * unit
}

// deviceOf is the block device that a folder lies on; empty where it is none.
func deviceOf(dir string) string {
	var st unix.Stat_t
	if dir == "" || unix.Stat(dir, &st) != nil {
		return ""
	}
	return deviceName(strconv.FormatUint(uint64(unix.Major(st.Dev)), 10) + ":" + strconv.FormatUint(uint64(unix.Minor(st.Dev)), 10))
}
