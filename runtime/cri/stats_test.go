package cri

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody waits for a folder that takes long to walk through, neither for its
// own size nor for that of others, and it is not walked through all the time.
func TestASlowWalkHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		walks := map[string]uint64{}
		begun := func(dir string, more uint64) uint64 {
			mu.Lock()
			defer mu.Unlock()
			walks[dir] += more
			return walks[dir]
		}
		d := &diskCache{look: func(dir string) diskUsage {
			n := begun(dir, 1)
			if dir == "big" {
				time.Sleep(time.Minute)
			}
			return diskUsage{bytes: n, at: time.Now()}
		}}
		ask := func(dir string, want uint64) {
			t.Helper()
			began := time.Now()
			u, known := d.usage(dir)
			if took := time.Since(began); took > diskWait {
				t.Errorf("%s: the answer took %s", dir, took)
			}
			if known != (want > 0) || u.bytes != want {
				t.Errorf("%s: got %d, known %v; want walk %d", dir, u.bytes, known, want)
			}
		}
		ask("big", 0)
		ask("small", 1)
		ask("small", 1)
		ask("big", 0)
		time.Sleep(time.Minute)
		ask("small", 2)
		ask("big", 1)
		time.Sleep(4 * time.Minute)
		ask("big", 1)
		if n := begun("big", 0); n != 1 {
			t.Errorf("a folder that takes a minute was walked through %d times in five minutes", n)
		}
		time.Sleep(time.Minute)
		ask("big", 1) // while the next walk is under way
		time.Sleep(time.Minute)
		ask("big", 2)
		// One that nobody asks for is forgotten.
		time.Sleep(time.Hour)
		ask("small", 3)
		if len(d.folders) != 1 {
			t.Errorf("%d folders are remembered", len(d.folders))
		}
	})
}
