package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// NodeName is the name of the node of every cluster under test.
const NodeName = "e2e"

// Cluster is a cluster of one node on a machine of its own.
type Cluster struct {
	Machine *Machine
	// Knarr is the program under test, Images the folder of image archives.
	Knarr, Images string
	// Dir is a folder for everything: data, sockets, logs, kubeconfig.
	Dir string
	// Env are further variables for every command.
	Env []string
	// Ports and addresses as the last Up told them.
	Ports Ports
}

// Ports are where a cluster can be reached.
type Ports struct {
	API   int `json:"apiPort"`
	HTTP  int `json:"httpPort"`
	HTTPS int `json:"httpsPort"`
}

// New makes a machine and the folders of a cluster, and starts nothing.
func New(knarr, images string) (*Cluster, error) {
	machine, err := NewMachine()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/var/lib", "knarr-e2e-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		machine.Close()
		return nil, fmt.Errorf("make a folder for the cluster: %w", err)
	}
	return &Cluster{Machine: machine, Knarr: knarr, Images: images, Dir: dir}, nil
}

// DataDir, RunDir and LogDir are the cluster's folders; Kubeconfig is the
// caller's file that `knarr up` merges its context into.
func (c *Cluster) DataDir() string    { return filepath.Join(c.Dir, "data") }
func (c *Cluster) RunDir() string     { return filepath.Join(c.Dir, "run") }
func (c *Cluster) LogDir() string     { return filepath.Join(c.Dir, "pods") }
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.Dir, "home", ".kube", "config") }

// CgroupParent is the cgroup of everything of the cluster.
func (c *Cluster) CgroupParent() string { return "/" + filepath.Base(c.Dir) }

// environment is that of a person's shell on the machine: no setting of
// whoever runs the tests gets in.
func (c *Cluster) environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "KNARR_") || strings.HasPrefix(e, "KUBE") || strings.HasPrefix(e, "SUDO_") ||
			strings.HasPrefix(strings.ToLower(e), "http_proxy=") || strings.HasPrefix(strings.ToLower(e), "https_proxy=")
	})
	return append(append(env,
		"HOME="+filepath.Join(c.Dir, "home"),
		"KNARR_DATA_DIR="+c.DataDir(), "KNARR_RUN_DIR="+c.RunDir(), "KNARR_POD_LOG_DIR="+c.LogDir(),
		"KNARR_CGROUP_PARENT="+c.CgroupParent(), "KNARR_NODE_NAME="+NodeName,
	), c.Env...)
}

// Up runs `knarr up` and takes note of the ports that it tells.
func (c *Cluster) Up(ctx context.Context, flags ...string) Outcome {
	out := c.Try(ctx, Input{Argv: append([]string{c.Knarr, "up", "-o", "json"}, flags...)})
	if out.Err != nil {
		return out
	}
	lines := strings.Split(strings.TrimSpace(out.Stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &c.Ports); err != nil {
		out.Err = fmt.Errorf("read the result of up: %w", err)
	}
	return out
}

// Down runs `knarr down`.
func (c *Cluster) Down(ctx context.Context, flags ...string) Outcome {
	return c.Try(ctx, Input{Argv: append([]string{c.Knarr, "down"}, flags...)})
}

// Import imports archives of images, by the beginning of their names; without
// any, all there are.
func (c *Cluster) Import(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		names = []string{""}
	}
	argv := []string{c.Knarr, "image", "import"}
	for _, name := range names {
		files, err := filepath.Glob(filepath.Join(c.Images, name+"*.tar"))
		if err != nil || len(files) == 0 {
			return errors.Join(fmt.Errorf("no image archive %s*.tar in %s: `make images` builds them", name, c.Images), err)
		}
		argv = append(argv, files...)
	}
	out := c.Try(ctx, Input{Argv: argv})
	if out.Err != nil {
		return fmt.Errorf("import images: %s", out)
	}
	return nil
}

// Close removes the cluster, whatever state it is in, and its folders. Where
// that fails the folders stay: what still runs is reached through them.
func (c *Cluster) Close(ctx context.Context) error {
	defer c.Machine.Close()
	if out := c.Down(ctx, "--purge"); out.Err != nil {
		return fmt.Errorf("take the cluster down, which lies in %s: %s", c.Dir, out)
	}
	return os.RemoveAll(c.Dir)
}
