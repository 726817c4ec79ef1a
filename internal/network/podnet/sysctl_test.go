package podnet

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// kernelWith is a folder that looks like the kernel's settings.
func kernelWith(t *testing.T, values map[string]string) settings {
	t.Helper()
	s := settings{root: t.TempDir(), file: filepath.Join(t.TempDir(), "sysctl.json"), shared: filepath.Join(t.TempDir(), "limits")}
	for name, value := range values {
		path := filepath.Join(s.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// values reads the settings back.
func (s settings) values(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(s.root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		value, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, s.root+"/")] = strings.TrimSpace(string(value))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLimitsAreRaisedAndPutBack(t *testing.T) {
	before := map[string]string{
		"net/ipv4/ip_forward":            "0",
		"fs/inotify/max_user_instances":  "128",
		"fs/inotify/max_user_watches":    "1048576", // more than is wanted
		"net/netfilter/nf_conntrack_max": "65536",
	}
	raised := map[string]string{
		"net/ipv4/ip_forward":            "1",
		"fs/inotify/max_user_instances":  "8192",
		"fs/inotify/max_user_watches":    "1048576",
		"net/netfilter/nf_conntrack_max": "131072",
	}
	s := kernelWith(t, before)
	for range 2 { // up again must not take the raised values for the machine's own
		if err := s.raise(); err != nil {
			t.Fatal(err)
		}
		if got := s.values(t); !maps.Equal(got, raised) {
			t.Errorf("raised: got %v, want %v", got, raised)
		}
	}
	if err := s.restore(); err != nil {
		t.Fatal(err)
	}
	if got := s.values(t); !maps.Equal(got, before) {
		t.Errorf("put back: got %v, want %v", got, before)
	}
	if _, err := os.Stat(s.shared); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("notes are left: %v", err)
	}
}

// A limit is the whole machine's: the cluster that goes first, though it raised
// it, takes it from no other one, and who goes last puts it back.
func TestLimitsStayWhileAnotherClusterHoldsThem(t *testing.T) {
	const limit = "fs/inotify/max_user_instances"
	first := kernelWith(t, map[string]string{"net/ipv4/ip_forward": "1", limit: "128"})
	other := first
	other.file = filepath.Join(t.TempDir(), "sysctl.json")
	if err := errors.Join(first.raise(), other.raise()); err != nil {
		t.Fatal(err)
	}
	held, err := other.hold(unix.LOCK_SH)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.restore(); err != nil {
		t.Fatal(err)
	}
	if got := first.values(t)[limit]; got != "8192" {
		t.Errorf("beside another cluster it is %s", got)
	}
	if err := errors.Join(held.Close(), other.restore()); err != nil {
		t.Fatal(err)
	}
	if got := first.values(t)[limit]; got != "128" {
		t.Errorf("in the end it is %s", got)
	}
}

func TestALimitThatSomebodySetMeanwhileStays(t *testing.T) {
	s := kernelWith(t, map[string]string{"net/ipv4/ip_forward": "1", "fs/inotify/max_user_instances": "128"})
	if err := s.raise(); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(s.root, "fs/inotify/max_user_instances")
	if err := os.WriteFile(theirs, []byte("65536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.restore(); err != nil {
		t.Fatal(err)
	}
	if got := s.values(t)["fs/inotify/max_user_instances"]; got != "65536" {
		t.Errorf("got %s", got)
	}
}

func TestALimitThatMayNotBeChangedIsNoFailure(t *testing.T) {
	s := kernelWith(t, map[string]string{"net/ipv4/ip_forward": "1"})
	// A link to a file that takes no writes, whoever writes.
	path := filepath.Join(s.root, "fs/inotify/max_user_instances")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/sys/kernel/cap_last_cap", path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if err := s.raise(); err != nil {
		t.Errorf("got %v", err)
	}
	if noted, err := os.ReadDir(s.shared); err != nil || len(noted) != 0 {
		t.Errorf("nothing was changed, noted is %v, %v", noted, err)
	}
}

// A power cut may leave the file empty. What it held is the kernel's own again
// by then: up comes up, and down has nothing to say.
func TestEmptyFileOfSavedSettings(t *testing.T) {
	s := kernelWith(t, map[string]string{"net/ipv4/ip_forward": "0"})
	if err := os.WriteFile(s.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.raise(); err != nil {
		t.Fatal(err)
	}
	if got := s.values(t)["net/ipv4/ip_forward"]; got != "1" {
		t.Errorf("forwarding is %s", got)
	}
	if err := s.restore(); err != nil {
		t.Fatal(err)
	}
	if got := s.values(t)["net/ipv4/ip_forward"]; got != "0" {
		t.Errorf("forwarding is %s afterwards", got)
	}
}

// What was noted in another life of the machine is no matter of this one: its
// settings are its own again, and may be others by now.
func TestSettingsOfAnEarlierBoot(t *testing.T) {
	for name, then := range map[string][]func(settings) error{
		"down at once":     {settings.restore},
		"up and then down": {settings.raise, settings.restore},
	} {
		t.Run(name, func(t *testing.T) {
			s := kernelWith(t, map[string]string{"kernel/random/boot_id": "one", "net/ipv4/ip_forward": "0"})
			if err := s.raise(); err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{"kernel/random/boot_id": "two", "net/ipv4/ip_forward": "1"} {
				if err := os.WriteFile(filepath.Join(s.root, name), []byte(value+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := s.values(t)
			for _, do := range then {
				if err := do(s); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.values(t); !maps.Equal(got, before) {
				t.Errorf("put back: got %v, want %v", got, before)
			}
		})
	}
}
