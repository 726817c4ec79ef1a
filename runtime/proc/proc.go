// Package proc reads what the runtime's parts need from /proc. A process is
// named by its pid and start time together: pids are used again, pairs are not.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ID names a process for good on one boot of one machine.
type ID struct {
	PID int `json:"pid"`
	// StartTime is field 22 of /proc/pid/stat, in clock ticks since boot.
	StartTime uint64 `json:"startTime"`
}

// Stat is the part of /proc/pid/stat that is used here.
type Stat struct {
	State     byte
	PPID      int
	StartTime uint64
}

// ReadStat reads /proc/pid/stat. The error is os.ErrNotExist for a process that is gone.
func ReadStat(pid int) (Stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, err
	}
	return parseStat(data)
}

// parseStat skips the command name, which may hold anything, by its last parenthesis.
func parseStat(data []byte) (Stat, error) {
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return Stat{}, errors.New("stat: no command name")
	}
	fields := strings.Fields(string(data[i+1:]))
	if len(fields) < 20 {
		return Stat{}, fmt.Errorf("stat: %d fields after the name", len(fields))
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		return Stat{}, fmt.Errorf("stat: parent: %w", err)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("stat: start time: %w", err)
	}
	return Stat{State: fields[0][0], PPID: ppid, StartTime: start}, nil
}

// Identify returns the ID of the process that has pid now.
func Identify(pid int) (ID, error) {
	st, err := ReadStat(pid)
	return ID{PID: pid, StartTime: st.StartTime}, err
}

// Alive says whether the process still runs. A zombie does not.
func (id ID) Alive() bool {
	st, err := ReadStat(id.PID)
	return err == nil && st.StartTime == id.StartTime && st.State != 'Z' && st.State != 'X'
}

// Exists is Alive, zombies included.
func (id ID) Exists() bool {
	st, err := ReadStat(id.PID)
	return err == nil && st.StartTime == id.StartTime
}
