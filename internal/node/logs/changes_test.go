package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/testkit/await"
)

// watchers counts the kernel's watchers of this process.
func watchers(t *testing.T) (n int) {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && to == "anon_inode:inotify" {
			n++
		}
	}
	return n
}

func TestFollowersShareAWatcher(t *testing.T) {
	const many = 20
	before := watchers(t)
	changes, ended, over := new(Changes), make(chan struct{}), make(chan error, many)
	paths, outs := make([]string, many), make([]*safe, many)
	for i := range many {
		// Each second one follows the log of the one before it.
		paths[i], outs[i] = filepath.Join(t.TempDir(), "0.log"), &safe{}
		if i%2 == 1 {
			paths[i] = paths[i-1]
		} else {
			write(t, paths[i], line(1, "stdout", "F", "one"))
		}
		go func() {
			over <- Read(t.Context(), paths[i], Options{Tail: -1, Follow: true, Ended: ended, Changes: changes}, outs[i], func() {})
		}()
		awaitText(t, outs[i], "one\n")
	}
	if n := watchers(t) - before; n != 1 {
		t.Errorf("%d follow by %d watchers", many, n)
	}
	for i := 0; i < many; i += 2 {
		appendTo(t, paths[i], line(2, "stdout", "F", fmt.Sprint(i)))
	}
	for i := range many {
		awaitText(t, outs[i], fmt.Sprintf("one\n%d\n", i-i%2))
	}
	close(ended)
	for range many {
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
	await.Until(t, time.Minute, "the end of the watcher", func() bool { return watchers(t) == before })
}

func TestALogWithoutAFolderIsNotFollowed(t *testing.T) {
	before, changes := watchers(t), new(Changes)
	if _, _, err := changes.follow(filepath.Join(t.TempDir(), "gone", "0.log")); err == nil {
		t.Error("nothing is there to follow")
	}
	await.Until(t, time.Minute, "the end of the watcher", func() bool { return watchers(t) == before })
}
