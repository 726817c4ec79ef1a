package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// memory is what processes hold, in MiB.
type memory struct{ resident, anonymous, proportional float64 }

// memoryOf adds up the processes.
func memoryOf(pids map[string]int) (memory, error) {
	var sum memory
	for _, pid := range pids {
		fields, err := kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return sum, err
		}
		status, err := kilobytes(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return sum, err
		}
		sum.proportional += fields["Pss"] / 1024
		sum.resident += status["VmRSS"] / 1024
		sum.anonymous += status["RssAnon"] / 1024
	}
	return sum, nil
}

// kilobytes reads the "Name: n kB" lines of a file of /proc.
func kilobytes(path string) (map[string]float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[2] == "kB" {
			if n, err := strconv.ParseFloat(fields[1], 64); err == nil {
				out[strings.TrimSuffix(fields[0], ":")] = n
			}
		}
	}
	return out, nil
}

// cpuOf is the CPU time that the processes have used.
func cpuOf(pids map[string]int) (time.Duration, error) {
	var ticks int64
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name, in parentheses, may hold spaces: fields count from behind it.
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		for _, i := range []int{11, 12} { // utime, stime
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	const perSecond = 100 // USER_HZ on every Linux that Go runs on
	return time.Duration(ticks) * time.Second / perSecond, nil
}
