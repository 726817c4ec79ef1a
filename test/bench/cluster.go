package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/client"
)

// cluster is the one that is measured. It has folders of its own, so that a
// cluster that stands on the machine is not touched, but only one can run.
type cluster struct {
	options
	home       string
	kubeconfig string
	client     *client.Client // set while it is up
}

// fit tells why this machine cannot measure. It is for the start of a run: what
// comes later disturbs figures, and does not make them impossible.
func (o options) fit() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: run `sudo make bench`")
	}
	running := exec.Command("pgrep", "-x", "-r", "D,R,S,T", "knarr-keep") // and no dead one that nobody has waited for yet
	if running.Run() == nil && !o.beside {
		return errors.New("a cluster runs on this machine and would disturb the figures: stop it with `knarr down`")
	}
	return nil
}

func newCluster(o options) (*cluster, error) {
	dir, err := os.MkdirTemp(o.dir, "knarr-bench-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the edge's user passes through
		return nil, err
	}
	return &cluster{options: o, home: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}, nil
}

func (c *cluster) remove() {
	if out, err := c.command(context.Background(), "down", "--purge").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: down: %v: %s\n", err, out)
	}
	_ = os.RemoveAll(c.home)
}

func (c *cluster) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.knarr, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig,
		"KNARR_DATA_DIR="+filepath.Join(c.home, "data"), "KNARR_RUN_DIR="+filepath.Join(c.home, "run"),
		"KNARR_POD_LOG_DIR="+filepath.Join(c.home, "pod-logs"), "KNARR_CGROUP_PARENT=/"+filepath.Base(c.home))
	return cmd
}

// knarrRun runs a command of knarr to its end.
func (c *cluster) knarrRun(ctx context.Context, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := c.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("knarr %s: %w: %s%s", strings.Join(args, " "), err, out.Bytes(), errs.Bytes())
	}
	return out.Bytes(), nil
}

// up brings the cluster up and tells how long the whole command took.
func (c *cluster) up(ctx context.Context, flags ...string) (time.Duration, error) {
	start := time.Now()
	if _, err := c.knarrRun(ctx, append([]string{"up", "-o", "json"}, flags...)...); err != nil {
		return 0, err
	}
	took := time.Since(start)
	config, err := c.config()
	if err != nil {
		return 0, err
	}
	config.QPS = -1
	transport, err := client.NewHTTPS(config, catalog.New())
	if err != nil {
		return 0, err
	}
	c.client = client.New(transport, catalog.New())
	return took, nil
}

// config is the administrator's.
func (c *cluster) config() (*rest.Config, error) {
	return clientcmd.BuildConfigFromFlags("", c.kubeconfig)
}

func (c *cluster) down(ctx context.Context, flags ...string) error {
	c.client = nil
	_, err := c.knarrRun(ctx, append([]string{"down"}, flags...)...)
	return err
}

func (c *cluster) ensureUp(ctx context.Context) error {
	if c.client != nil {
		return nil
	}
	if _, err := c.up(ctx); err != nil {
		return err
	}
	return c.importImage(ctx)
}

// image is small and starts at once: what is measured is the cluster.
const image = "knarr.io/hello:1"

func (c *cluster) importImage(ctx context.Context) error {
	_, err := c.knarrRun(ctx, "image", "import", filepath.Join(c.images, "knarr.io_hello_1.tar"))
	return err
}

// processes are the pids of everything of the cluster's own.
func (c *cluster) processes() (map[string]int, error) {
	out, err := exec.Command("pgrep", "-f", c.home).Output()
	if err != nil {
		return nil, fmt.Errorf("find the cluster's processes: %w", err)
	}
	found := map[string]int{}
	for _, line := range strings.Fields(string(out)) {
		pid, err := strconv.Atoi(line)
		if err != nil || pid == os.Getpid() {
			continue
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		args := strings.Split(string(cmdline), "\x00")
		name := filepath.Base(args[0])
		if len(args) > 1 && strings.HasPrefix(name, "knarr-") && (args[1] == "server" || args[1] == "edge") {
			name = args[1]
		}
		found[name] = pid
	}
	if len(found) < 4 {
		return nil, fmt.Errorf("only %d of the cluster's processes were found: %v", len(found), found)
	}
	return found, nil
}
