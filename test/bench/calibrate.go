package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// calibration tells how fast the machine is at the moment, so that figures of
// different days can be compared.
type calibration struct {
	HashMBps float64 `json:"hashMBps"`
	SyncMs   float64 `json:"fdatasyncMs"`
	Load     float64 `json:"load"` // of the last minute
}

func calibrate(dir string) (calibration, error) {
	block := make([]byte, 1<<20)
	const rounds = 200
	start := time.Now()
	for range rounds {
		sum := sha256.Sum256(block)
		block[0] = sum[0]
	}
	c := calibration{HashMBps: rounds / time.Since(start).Seconds()}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return c, err
	}
	if _, err := fmt.Sscan(string(load), &c.Load); err != nil {
		return c, fmt.Errorf("read the load: %w", err)
	}
	f, err := os.CreateTemp(dir, ".bench-sync-")
	if err != nil {
		return c, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	for range 100 {
		start := time.Now()
		if _, err := f.Write(block[:4096]); err != nil {
			return c, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return c, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	c.SyncMs = milliseconds(took[len(took)/2])
	return c, nil
}
