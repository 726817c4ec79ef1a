package payload

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Forget removes from dir what Unpack and Install of other builds put there,
// or of calls that were cut off, but for the paths of keep and what still runs.
// Nobody else may be at work in dir.
func Forget(dir string, keep ...string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for former programs: %w", err)
	}
	var former []string
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); isOurs(e.Name()) && !slices.Contains(keep, path) {
			former = append(former, path)
		}
	}
	if len(former) == 0 {
		return nil
	}
	running, err := runningPrograms()
	failed := []error{err}
	for _, path := range former {
		if err == nil && !slices.ContainsFunc(running, func(p string) bool { return p == path || strings.HasPrefix(p, path+"/") }) {
			failed = append(failed, os.RemoveAll(path))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("remove former programs: %w", err)
	}
	return nil
}

// isOurs tells names that Unpack and Install give.
func isOurs(name string) bool {
	id, err := hex.DecodeString(name)
	return err == nil && len(id) == folderID || strings.HasPrefix(name, "knarr-") || strings.HasPrefix(name, temporary)
}

// runningPrograms are the paths of all programs that run.
func runningPrograms() ([]string, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil { // else it has ended, or is the kernel's own
			out = append(out, path)
		}
	}
	return out, nil
}
