package podnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	root   string // /proc/sys, or a folder of a test
	file   string
	shared string // the folder of what limits were, which goes with a boot
}

// raise writes down the old value of each setting that differs, then sets it.
func (s settings) raise() error {
	saved, err := s.load()
	if err != nil {
		return err
	}
	if err := s.raiseLimits(); err != nil {
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
	failed := []error{s.restoreLimits()}
	saved, err := s.load()
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	for name, value := range saved {
		if s.changedSince(name) { // a limit: former versions noted them here
			continue
		}
		if err := os.WriteFile(filepath.Join(s.root, name), []byte(value), 0); err != nil {
			failed = append(failed, fmt.Errorf("restore kernel setting %s=%s: %w", name, value, err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ofBoot names, beside the saved values, the boot that they were found in.
const ofBoot = "boot"

// boot names this life of the machine.
func (s settings) boot() string {
	id, err := os.ReadFile(filepath.Join(s.root, "kernel/random/boot_id"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// load gives what was saved since the machine was booted: with that the kernel's
// settings became the machine's own again, and may be others by now.
func (s settings) load() (map[string]string, error) {
	saved := map[string]string{}
	data, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return saved, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the saved kernel settings: %w", err)
	}
	if len(data) == 0 { // by a power cut, after which the kernel's settings are its own
		return saved, nil
	}
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, fmt.Errorf("the saved kernel settings in %s are damaged; remove the file after checking `sysctl net.ipv4.ip_forward`: %w", s.file, err)
	}
	if boot, told := saved[ofBoot]; told && boot != s.boot() {
		return map[string]string{}, nil
	}
	delete(saved, ofBoot)
	return saved, nil
}

func (s settings) save(saved map[string]string) error {
	saved = maps.Clone(saved)
	saved[ofBoot] = s.boot()
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
