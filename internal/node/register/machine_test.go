package register

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestShortOfDisk(t *testing.T) {
	const gib = 1 << 30 / 4096 // blocks
	for _, tc := range []struct {
		name string
		fs   unix.Statfs_t
		want bool
	}{
		{"plenty", unix.Statfs_t{Bsize: 4096, Blocks: 100 * gib, Bavail: 50 * gib, Files: 1e6, Ffree: 9e5}, false},
		{"little of a large disk", unix.Statfs_t{Bsize: 4096, Blocks: 1000 * gib, Bavail: 20 * gib}, false},
		{"little of a small disk", unix.Statfs_t{Bsize: 4096, Blocks: 100 * gib, Bavail: 4 * gib}, true},
		{"a small disk that is nearly empty", unix.Statfs_t{Bsize: 4096, Blocks: 4 * gib, Bavail: 3 * gib}, false},
		{"few inodes", unix.Statfs_t{Bsize: 4096, Blocks: 100 * gib, Bavail: 50 * gib, Files: 1e6, Ffree: 1e4}, true},
		{"a small share of many inodes", unix.Statfs_t{Bsize: 4096, Blocks: 100 * gib, Bavail: 50 * gib, Files: 1e9, Ffree: 1e7}, false},
		{"no count of inodes", unix.Statfs_t{Bsize: 4096, Blocks: 100 * gib, Bavail: 50 * gib}, false},
	} {
		if got := shortOfDisk(&tc.fs); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
