package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/cgroup"
	"github.com/knarr-io/knarr/runtime/launch"
	"github.com/knarr-io/knarr/runtime/proc"
)

// specVersion is the OCI runtime specification that bundles follow.
const specVersion = "1.0.2"

// Runtime makes containers with one program. It is safe for concurrent use on different containers.
type Runtime struct {
	name    string
	config  Config
	dir     string
	cgroups *cgroup.Hierarchy
	asked   atomic.Pointer[asked]
}

// bundle is the folder of a container's config.json and of what the program writes beside it.
func (r *Runtime) bundle(id string) string { return filepath.Join(r.dir, "bundles", id) }

// Create makes the container that spec describes, up to the point where its
// program would run. On an error nothing stays.
func (r *Runtime) Create(id string, spec *specs.Spec, stdio launch.Stdio) (launch.Created, error) {
	created, err := r.create(id, spec, stdio)
	if err != nil {
		return created, errors.Join(err, r.Destroy(id))
	}
	return created, nil
}

func (r *Runtime) create(id string, spec *specs.Spec, stdio launch.Stdio) (launch.Created, error) {
	bundle := r.bundle(id)
	if err := os.MkdirAll(bundle, 0o700); err != nil {
		return launch.Created{}, err
	}
	// Older programs refuse versions that they do not know: nothing newer is used.
	described := *spec
	described.Version = specVersion
	if err := writeJSON(filepath.Join(bundle, "config.json"), described); err != nil {
		return launch.Created{}, err
	}
	pidFile := filepath.Join(bundle, "pid")
	args := []string{"create", "--bundle", bundle, "--pid-file", pidFile}
	terminal, err := listenConsole(r.dir, stdio.Console)
	if err != nil {
		return launch.Created{}, err
	}
	if terminal != nil {
		defer terminal.close()
		args = append(args, "--console-socket", terminal.path)
	}
	if err := r.run(id, createTime, stdio, append(args, id)...); err != nil {
		return launch.Created{}, err
	}
	if terminal != nil {
		if err := terminal.pass(stdio.Console); err != nil {
			return launch.Created{}, err
		}
	}
	process, err := readPID(pidFile)
	if err != nil {
		return launch.Created{}, err
	}
	return launch.Created{ID: process, Run: func() error { return r.run(id, commandTime, launch.Stdio{}, "start", id) }}, nil
}

func readPID(file string) (proc.ID, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return proc.ID{}, fmt.Errorf("the runtime wrote no process id: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return proc.ID{}, fmt.Errorf("process id: %w", err)
	}
	return proc.Identify(pid)
}

// Resume lets a container's program run if a start was cut short before that.
func (r *Runtime) Resume(id string) error {
	status, err := r.status(id)
	if err != nil || status != specs.StateCreated {
		return err
	}
	return r.run(id, commandTime, launch.Stdio{}, "start", id)
}

func (r *Runtime) status(id string) (specs.ContainerState, error) {
	out, err := r.output("state", id)
	if err != nil {
		return "", err
	}
	var state specs.State
	if err := json.Unmarshal(out, &state); err != nil {
		return "", fmt.Errorf("state of container %s: %w", id, err)
	}
	return state.Status, nil
}

// KillAll kills every process of the container, also those outside its init's PID namespace.
func (r *Runtime) KillAll(id string) error {
	group, err := r.cgroup(id)
	if err != nil || group == "" {
		return err
	}
	var all error
	for _, pid := range r.cgroups.Processes(group) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			all = errors.Join(all, fmt.Errorf("kill process %d: %w", pid, err))
		}
	}
	return all
}

// cgroup is the container's, as its bundle says; empty without a bundle.
func (r *Runtime) cgroup(id string) (string, error) {
	data, err := os.ReadFile(filepath.Join(r.bundle(id), "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var s specs.Spec
	if err := json.Unmarshal(data, &s); err != nil || s.Linux == nil {
		return "", err
	}
	return s.Linux.CgroupsPath, nil
}

// Update changes the limits of a container.
func (r *Runtime) Update(id string, limits *specs.LinuxResources) error {
	file := filepath.Join(r.bundle(id), "resources.json")
	if err := writeJSON(file, limits); err != nil {
		return err
	}
	return r.run(id, commandTime, launch.Stdio{}, "update", "--resources", file, id)
}

// Destroy kills what is left of the container and removes its cgroups and
// state. A container that is not there is no error. Without the program,
// which somebody may have removed, its processes are ended all the same.
func (r *Runtime) Destroy(id string) error {
	if _, err := os.Stat(r.bundle(id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var failed error
	if r.installed() {
		failed = r.run(id, commandTime, launch.Stdio{}, "delete", "--force", id)
	}
	group, err := r.cgroup(id)
	if err != nil {
		return errors.Join(failed, err)
	}
	if err := r.KillAll(id); err != nil {
		return errors.Join(failed, err)
	}
	if group != "" && len(r.cgroups.Processes(group)) == 0 {
		failed = errors.Join(failed, r.cgroups.Remove(group))
	}
	if failed != nil {
		return failed
	}
	return os.RemoveAll(r.bundle(id))
}

// List returns the containers that have state here.
func (r *Runtime) List() ([]string, error) {
	entries, err := os.ReadDir(r.bundle(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

func (r *Runtime) installed() bool {
	fi, err := os.Stat(r.config.Path)
	return err == nil && fi.Mode().IsRegular()
}

func writeJSON(file string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}
