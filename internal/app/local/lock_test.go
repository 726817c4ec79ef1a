package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Down removes the folder that its own lock lies in: who comes at that moment
// either is told that somebody is at work, or has the cluster alone, and nobody
// removes what it has made.
func TestOneAtATimeWhileTheFolderGoes(t *testing.T) {
	s := Settings{RunDir: filepath.Join(t.TempDir(), "run")}
	var inside, worked atomic.Int32
	turn := func(down bool) error {
		if err := os.MkdirAll(s.RunDir, 0o711); errors.Is(err, fs.ErrExist) {
			return nil // and gone when it looked again
		} else if err != nil {
			return err
		}
		unlock, err := lock(s.lockFile())
		if errors.Is(err, errBusy) {
			return nil
		}
		if err != nil {
			return err
		}
		defer unlock()
		if inside.Add(1) != 1 {
			return errors.New("two are at work at a time")
		}
		worked.Add(1)
		mine := filepath.Join(s.RunDir, "socket")
		err = os.WriteFile(mine, nil, 0o600)
		if !down {
			err = errors.Join(err, os.Remove(mine))
		}
		inside.Add(-1) // the next one may come before the folder is quite gone
		if down {
			err = errors.Join(err, s.removeRunDir())
		}
		return err
	}
	var all sync.WaitGroup
	for who := range 4 {
		all.Go(func() {
			for range 500 {
				if err := turn(who%2 == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if worked.Load() == 0 {
		t.Error("nobody got to work")
	}
	if err := turn(true); err != nil {
		t.Fatal(err)
	}
	if exists(s.RunDir) {
		t.Error("the folder is left")
	}
}

// An up that fails before it has started anything leaves no folder of sockets;
// one that started something does.
func TestTheFolderOfSocketsIsLeftInUse(t *testing.T) {
	for _, used := range []bool{false, true} {
		s := Settings{RunDir: filepath.Join(t.TempDir(), "run")}
		if err := os.Mkdir(s.RunDir, 0o711); err != nil {
			t.Fatal(err)
		}
		unlock, err := s.lockRunDir()
		if err != nil {
			t.Fatal(err)
		}
		if used {
			if err := os.WriteFile(s.keepSocket(), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.lockRunDir(); !errors.Is(err, errBusy) {
			t.Errorf("locked twice: %v", err)
		}
		unlock()
		if exists(s.RunDir) != used {
			t.Errorf("in use %v: the folder is there %v", used, !used)
		}
	}
}
