// Package oci runs containers with OCI runtime programs of other makers, such
// as crun or runsc: one program for each runtime handler (OCI runtime
// specification, "Command line interface" as runc defined it). It holds no
// state: what is below its folder is the programs' own, and tells after a
// restart which container belongs to which handler.
//
// A program makes a container and goes away, so that the container's first
// process becomes a child of knarr-keep, which writes down how it ended.
package oci

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/knarr-io/knarr/runtime/cgroup"
)

// Config is one handler.
type Config struct {
	// Path is the program.
	Path string `json:"path"`
	// Args come before each command, such as --platform=kvm.
	Args []string `json:"args,omitempty"`
}

// Set is the handlers of a node. It is immutable.
type Set struct {
	root     string
	cgroups  *cgroup.Hierarchy
	runtimes map[string]*Runtime
}

// found are programs that are handlers by themselves where they are installed.
func found() map[string]string {
	return map[string]string{"crun": "crun", "youki": "youki", "runsc": "runsc", "kata": "kata-runtime"}
}

// handlerName is what a RuntimeClass may name: a DNS label.
var handlerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Open returns the handlers that are configured, and those whose programs are
// in the PATH. State is kept in root, on a tmpfs. reserved names are built in.
func Open(root string, configured map[string]Config, reserved []string, groups *cgroup.Hierarchy) (*Set, error) {
	s := &Set{root: root, cgroups: groups, runtimes: map[string]*Runtime{}}
	for name, program := range found() {
		if path, err := exec.LookPath(program); err == nil && filepath.IsAbs(path) {
			s.runtimes[name] = s.runtime(name, Config{Path: path})
		}
	}
	for name, c := range configured {
		switch {
		case !handlerName.MatchString(name) || slices.Contains(reserved, name):
			return nil, fmt.Errorf("handler %q: not a name that a handler may have: use lower-case letters, digits and dashes, and none of %q", name, reserved)
		case !filepath.IsAbs(c.Path):
			return nil, fmt.Errorf("handler %q: path %q: must be absolute", name, c.Path)
		}
		s.runtimes[name] = s.runtime(name, c)
	}
	return s, nil
}

func (s *Set) runtime(name string, c Config) *Runtime {
	return &Runtime{name: name, config: c, dir: filepath.Join(s.root, name), cgroups: s.cgroups}
}

// Names are the handlers, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.runtimes)) }

// Has says whether containers can be made with a handler.
func (s *Set) Has(name string) bool { return s.runtimes[name] != nil }

// Get returns a handler. One that is gone from the configuration can still end what it has made.
func (s *Set) Get(name string) *Runtime {
	if r := s.runtimes[name]; r != nil {
		return r
	}
	return s.runtime(name, Config{})
}

// All returns every handler, and those that have left containers.
func (s *Set) All() []*Runtime {
	names := maps.Clone(s.runtimes)
	left, _ := filepath.Glob(filepath.Join(s.root, "*"))
	for _, dir := range left {
		names[filepath.Base(dir)] = s.Get(filepath.Base(dir))
	}
	return slices.Collect(maps.Values(names))
}
