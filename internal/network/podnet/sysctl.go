package podnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// wanted are the kernel settings that pods need, and why.
var wanted = []struct{ name, value string }{
	{"net/ipv4/ip_forward", "1"}, // packets travel between pods' links and the world
}

// settings remembers what the kernel settings were before Knarr.
type settings struct {
	root string // /proc/sys, or a folder of a test
	file string
}

// raise writes down the old value of each setting that differs, then sets it.
func (s settings) raise() error {
	saved, err := s.load()
	if err != nil {
		return err
	}
	for _, w := range wanted {
		path := filepath.Join(s.root, w.name)
		old, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read kernel setting %s: %w", w.name, err)
		}
		if strings.TrimSpace(string(old)) == w.value {
			continue
		}
		if _, known := saved[w.name]; !known {
			saved[w.name] = strings.TrimSpace(string(old))
		}
		if err := s.save(saved); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(w.value), 0); err != nil {
			return fmt.Errorf("set kernel setting %s=%s (set it by hand with: sysctl -w %s=%s): %w",
				w.name, w.value, strings.ReplaceAll(w.name, "/", "."), w.value, err)
		}
	}
	return nil
}

// restore puts back what raise changed.
func (s settings) restore() error {
	saved, err := s.load()
	if err != nil {
		return err
	}
	var failed []error
	for name, value := range saved {
		if err := os.WriteFile(filepath.Join(s.root, name), []byte(value), 0); err != nil {
			failed = append(failed, fmt.Errorf("restore kernel setting %s=%s: %w", name, value, err))
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s settings) load() (map[string]string, error) {
	saved := map[string]string{}
	data, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return saved, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the saved kernel settings: %w", err)
	}
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, fmt.Errorf("the saved kernel settings in %s are damaged; remove the file after checking `sysctl net.ipv4.ip_forward`: %w", s.file, err)
	}
	return saved, nil
}

func (s settings) save(saved map[string]string) error {
	data, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	tmp := s.file + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("save kernel settings before changing them: %w", err)
	}
	return os.Rename(tmp, s.file)
}
