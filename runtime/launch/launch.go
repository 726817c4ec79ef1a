// Package launch starts processes in containers with libcontainer. It holds no
// state: what is on the disk below its root is the library's, and is loaded
// when needed, so that a quiet container takes no memory here.
package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	// The init stage must be in every binary that starts containers.
	_ "github.com/knarr-io/knarr/runtime/initstage"
	"github.com/knarr-io/knarr/runtime/proc"
)

// Launcher starts containers whose state is below a folder on a tmpfs.
type Launcher struct {
	root string
}

// New returns a launcher with its state in root.
func New(root string) *Launcher { return &Launcher{root: root} }

// Stdio are the child's ends of its standard streams. With a terminal they
// stay empty, and the terminal's master arrives on Console.
type Stdio struct {
	Stdin, Stdout, Stderr *os.File
	// Console is the library's end of the socket that carries the master.
	Console *os.File
}

// Created is a container whose first process waits for Run.
type Created struct {
	ID proc.ID
	// Run lets the container's program run.
	Run func() error
}

// Create makes the container that spec describes, up to the point where its
// program would run. On an error nothing stays.
func (l *Launcher) Create(id string, spec *specs.Spec, stdio Stdio) (Created, error) {
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: id, Spec: spec})
	if err != nil {
		return Created{}, fmt.Errorf("container configuration: %w", err)
	}
	// The labels hold the working folder and nothing of use.
	config.Labels = nil
	config.Rlimits = rlimits(spec.Process)
	c, err := libcontainer.Create(l.root, id, config)
	if err != nil {
		return Created{}, err
	}
	p := process(spec.Process, stdio)
	p.Init = true
	if err := start(c, p); err != nil {
		return Created{}, errors.Join(err, l.Destroy(id))
	}
	pid, err := p.Pid()
	if err != nil {
		return Created{}, errors.Join(err, l.Destroy(id))
	}
	pid2, err := proc.Identify(pid)
	if err != nil {
		return Created{}, errors.Join(err, l.Destroy(id))
	}
	return Created{ID: pid2, Run: c.Exec}, nil
}

// infoLevel is logrus's level "info". Without one the init stage tells every
// step that it takes, some thirty lines for each container that nobody reads.
const infoLevel = "4"

func process(p *specs.Process, stdio Stdio) *libcontainer.Process {
	out := &libcontainer.Process{
		Args: p.Args, Env: p.Env, Cwd: p.Cwd,
		UID: int(p.User.UID), GID: int(p.User.GID),
		NoNewPrivileges: &p.NoNewPrivileges,
		AppArmorProfile: p.ApparmorProfile,
		ConsoleSocket:   stdio.Console,
		LogLevel:        infoLevel,
	}
	for _, g := range p.User.AdditionalGids {
		out.AdditionalGroups = append(out.AdditionalGroups, int(g))
	}
	if c := p.Capabilities; c != nil {
		out.Capabilities = &configs.Capabilities{Bounding: c.Bounding, Effective: c.Effective, Permitted: c.Permitted,
			Inheritable: c.Inheritable, Ambient: c.Ambient}
	}
	// A nil *os.File in an interface would not be nil.
	if stdio.Stdin != nil {
		out.Stdin = stdio.Stdin
	}
	if stdio.Stdout != nil {
		out.Stdout = stdio.Stdout
	}
	if stdio.Stderr != nil {
		out.Stderr = stdio.Stderr
	}
	return out
}

// Exec starts another process in a running container.
func (l *Launcher) Exec(id string, p *specs.Process, stdio Stdio) (proc.ID, error) {
	c, err := libcontainer.Load(l.root, id)
	if err != nil {
		return proc.ID{}, err
	}
	child := process(p, stdio)
	if err := start(c, child); err != nil {
		return proc.ID{}, err
	}
	pid, err := child.Pid()
	if err != nil {
		return proc.ID{}, err
	}
	return proc.Identify(pid)
}

// Started says whether the program of a container runs, rather than waits for Run.
func (l *Launcher) Started(id string) (bool, error) {
	c, err := libcontainer.Load(l.root, id)
	if err != nil {
		return false, err
	}
	status, err := c.Status()
	return status == libcontainer.Running || status == libcontainer.Paused, err
}

// KillAll kills every process of the container, also those outside its init's PID namespace.
func (l *Launcher) KillAll(id string) error {
	c, err := libcontainer.Load(l.root, id)
	if errors.Is(err, libcontainer.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.Signal(unix.SIGKILL); err != nil && !errors.Is(err, libcontainer.ErrNotRunning) {
		return err
	}
	return nil
}

// Update changes the limits of a container.
func (l *Launcher) Update(id string, r *specs.LinuxResources) error {
	c, err := libcontainer.Load(l.root, id)
	if err != nil {
		return err
	}
	config := c.Config()
	merge(config.Cgroups.Resources, r)
	return c.Set(config)
}

// Destroy kills what is left of the container and removes its cgroups and
// state. A container that is not there is no error.
func (l *Launcher) Destroy(id string) error {
	dir := filepath.Join(l.root, id)
	c, err := libcontainer.Load(l.root, id)
	if errors.Is(err, libcontainer.ErrNotExist) {
		// The folder alone stays of a start that was cut short.
		return os.RemoveAll(dir)
	}
	if err != nil {
		return fmt.Errorf("load container: %w", err)
	}
	if status, err := c.Status(); err == nil && status != libcontainer.Stopped {
		if err := c.Signal(unix.SIGKILL); err != nil && !errors.Is(err, libcontainer.ErrNotRunning) {
			return err
		}
		waitStopped(c)
	}
	if err := c.Destroy(); err != nil {
		return err
	}
	return nil
}

// List returns the containers that have state here.
func (l *Launcher) List() ([]string, error) {
	entries, err := os.ReadDir(l.root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

// Resume lets a container's program run if a start was cut short before that.
func (l *Launcher) Resume(id string) error {
	c, err := libcontainer.Load(l.root, id)
	if err != nil {
		return err
	}
	status, err := c.Status()
	if err != nil || status != libcontainer.Created {
		return err
	}
	return c.Exec()
}
