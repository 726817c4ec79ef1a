package podnet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limits are of the whole machine, and too low for many pods where their
// defaults are old: what is lower is raised, where that is allowed, and nothing
// is lowered. Other clusters of the machine, in network namespaces of their own,
// share them: what each limit was is noted for all, and whoever goes last puts
// it back.
var limits = []struct {
	name  string
	least uint64
}{
	{"fs/inotify/max_user_instances", 8192}, // pods of one user share them
	{"fs/inotify/max_user_watches", 524288},
	{"fs/file-max", 1 << 20},
	{"net/netfilter/nf_conntrack_max", 131072}, // connections through Services
}

// Hold keeps limits of the whole machine raised that another cluster's Remove
// would put back, until it is closed or the process ends.
func Hold(c Config) (io.Closer, error) {
	f, err := c.settings().hold(unix.LOCK_SH)
	if err != nil {
		return nil, fmt.Errorf("pod network: %w", err)
	}
	return f, nil
}

// hold locks the folder of settings, which is one to all processes of the
// machine: shared by those who need the limits, alone for who puts them back.
func (s settings) hold(how int) (*os.File, error) {
	f, err := os.Open(s.root)
	if err != nil {
		return nil, fmt.Errorf("hold the machine's limits: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("hold the machine's limits: %w", err)
		}
		return f, nil
	}
}

// note is the file that has what a limit was.
func (s settings) note(limit string) string {
	return filepath.Join(s.shared, strings.ReplaceAll(limit, "/", "."))
}

// raiseLimits raises what is too low. A limit that is not there, that cannot be
// noted, or that this machine or namespace may not change, stays as it is: most
// pods do with it.
func (s settings) raiseLimits() error {
	held, err := s.hold(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer held.Close()
	for _, l := range limits {
		path := filepath.Join(s.root, l.name)
		old, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		now, err := strconv.ParseUint(strings.TrimSpace(string(old)), 10, 64)
		if err != nil || now >= l.least {
			continue
		}
		first, err := s.noteOnce(l.name, now)
		if err != nil {
			continue
		}
		if os.WriteFile(path, []byte(strconv.FormatUint(l.least, 10)), 0) != nil && first {
			if err := os.Remove(s.note(l.name)); err != nil {
				return fmt.Errorf("forget the limit %s: %w", l.name, err)
			}
		}
	}
	return nil
}

// noteOnce notes what a limit was, unless that is noted.
func (s settings) noteOnce(limit string, was uint64) (first bool, err error) {
	if err := os.MkdirAll(s.shared, 0o700); err != nil {
		return false, err
	}
	f, err := os.OpenFile(s.note(limit), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err == nil {
		_, err = f.WriteString(strconv.FormatUint(was, 10))
		err = errors.Join(err, f.Close())
	}
	return err == nil, err
}

// restoreLimits puts back what was noted, unless another cluster still needs it:
// that does it then.
func (s settings) restoreLimits() error {
	alone, err := s.hold(unix.LOCK_EX | unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer alone.Close()
	var failed []error
	for _, l := range limits {
		was, err := os.ReadFile(s.note(l.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && len(was) > 0 && !s.changedSince(l.name) {
			err = os.WriteFile(filepath.Join(s.root, l.name), was, 0)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("restore the limit %s: %w", l.name, err))
			continue
		}
		failed = append(failed, os.Remove(s.note(l.name)))
	}
	if err := os.Remove(s.shared); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// changedSince tells whether somebody else has set a limit after us: then it
// is theirs.
func (s settings) changedSince(name string) bool {
	for _, l := range limits {
		if l.name == name {
			now, err := os.ReadFile(filepath.Join(s.root, name))
			return err != nil || strings.TrimSpace(string(now)) != strconv.FormatUint(l.least, 10)
		}
	}
	return false
}
