package machine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ListenerOf names the process that listens on a TCP port, as "nginx (pid
// 42)", or "another process" where it cannot be found.
func ListenerOf(port int) string {
	for _, table := range tcpTables() {
		if inode := listenerInode(table, port, anyAddress); inode != "" {
			if name := processWithSocket(inode); name != "" {
				return name
			}
		}
	}
	return "another process"
}

// Outward names the process that listens on a TCP port of more than the
// loopback addresses; empty where there is none.
func Outward(port int) string {
	for _, table := range tcpTables() {
		if inode := listenerInode(table, port, notLoopback); inode != "" {
			if name := processWithSocket(inode); name != "" {
				return name
			}
			return "another process"
		}
	}
	return ""
}

func tcpTables() []string { return []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} }

func anyAddress(string) bool { return true }

// notLoopback reads a local address as the kernel's tables write it: words of
// the machine's byte order, which is little-endian wherever Knarr runs.
func notLoopback(hex string) bool {
	const loopback6, mapped4 = "00000000000000000000000001000000", "0000000000000000FFFF0000"
	v4 := strings.TrimPrefix(hex, mapped4)
	return hex != loopback6 && (len(v4) != 8 || !strings.HasSuffix(v4, "7F"))
}

// listenerInode finds the socket in a table of the kernel's: the local address
// is the second field, the state (0A: listening) the fourth, the inode the
// tenth.
func listenerInode(table string, port int, counts func(address string) bool) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == "0A" && counts(strings.TrimSuffix(fields[1], suffix)) {
			return fields[9]
		}
	}
	return ""
}

func processWithSocket(inode string) string {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	want := "socket:[" + inode + "]"
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != want {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil {
			continue
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}
