package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/internal/app/payload"
	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/kubeconfig"
	"github.com/knarr-io/knarr/internal/network/podnet"
	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/volumes"
)

// maxGrace bounds how long down lets a container end by itself.
const maxGrace = 10 * time.Second

// Down stops the cluster and leaves the machine as it was, but for the data,
// from which Up brings the same cluster back. With purge the data goes too.
// Each part is undone even where another one fails.
func Down(ctx context.Context, s Settings, target kubeconfig.Target, purge bool, board *progress.Board, logger *slog.Logger) error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster's containers belong to root\n    what to do: run it again with sudo")
	}
	if _, err := os.Stat(s.DataDir); errors.Is(err, fs.ErrNotExist) {
		board.Step("nothing to stop").Done("no cluster in " + s.DataDir)
		return nil
	}
	if st, known, err := loadState(s.stateFile()); err != nil && !purge {
		return err
	} else if known {
		s = st.into(s)
	}
	if err := os.MkdirAll(s.RunDir, 0o711); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	unlock, err := lock(s.lockFile())
	if err != nil {
		return err
	}
	defer unlock()
	d := downer{Settings: s, keep: keep.Client{Socket: s.keepSocket()}, logger: logger}
	var failed []error
	step := func(name string, f func(context.Context) error) {
		failed = append(failed, board.Step(name).End(f(ctx)))
	}
	step("stop the server and the edge", d.services)
	step("stop the pods", func(ctx context.Context) error { return d.pods(ctx, purge) })
	step("stop the runtime", func(ctx context.Context) error { return d.runtime(ctx, purge) })
	step("release the volumes", func(context.Context) error { return d.volumes(purge) })
	step("restore the network", func(context.Context) error { return podnet.Remove(s.Network(logger)) })
	step("take the kubeconfig back", func(ctx context.Context) error { return kubeconfig.Remove(ctx, target, "knarr") })
	// What still runs is reached through these folders: they go last.
	if d.up(context.WithoutCancel(ctx)) {
		return errors.Join(append(failed, errStillUp)...)
	}
	if purge {
		step("remove the data", func(context.Context) error { return os.RemoveAll(s.DataDir) })
	}
	failed = append(failed, os.RemoveAll(s.RunDir))
	return errors.Join(failed...)
}

// errStillUp: a step has failed, or was interrupted, and services go on.
var errStillUp = errors.New("the cluster is not quite down\n    what to do: run it again")

// downer is one run of Down.
type downer struct {
	Settings
	keep   keep.Client
	logger *slog.Logger
}

// up tells whether a keep is there to ask.
func (d downer) up(ctx context.Context) bool {
	_, err := d.keep.List(ctx)
	return err == nil
}

func (d downer) services(ctx context.Context) error {
	if !d.up(ctx) {
		return d.endLeft(ctx, serviceServer, serviceEdge)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range []string{serviceServer, serviceEdge} {
		group.Go(func() error { return d.keep.Stop(ctx, name, stopGraceMillis*time.Millisecond) })
	}
	return group.Wait()
}

// endLeft ends services that run on although their keep was killed.
func (d downer) endLeft(ctx context.Context, names ...string) error {
	left := d.leftovers()
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		if l, ok := left[name]; ok {
			group.Go(func() error { return l.end(ctx, stopGraceMillis*time.Millisecond) })
		}
	}
	return group.Wait()
}

// runtimeRuns tells whether there is a runtime to ask, with or without a keep.
func (d downer) runtimeRuns(ctx context.Context) bool {
	if _, left := d.leftovers()[serviceRuntime]; left {
		return true
	}
	services, err := d.keep.List(ctx)
	return err == nil && slices.ContainsFunc(services, func(s keep.Status) bool { return s.Name == serviceRuntime })
}

// pods ends every container as its pod would be ended, all at the same time.
func (d downer) pods(ctx context.Context, purge bool) error {
	if !d.runtimeRuns(ctx) {
		return nil
	}
	c, err := cri.Dial(d.RuntimeSocket())
	if err != nil {
		return err
	}
	defer c.Close()
	containers, err := c.Containers(ctx, nil)
	if err != nil {
		return fmt.Errorf("ask the runtime for its containers: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, container := range containers {
		group.Go(func() error {
			if purge {
				defer d.removeLogs(ctx, c, container.Id)
			}
			if container.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
				return nil
			}
			return c.StopContainer(ctx, container.Id, int64(grace(container.Annotations).Seconds()))
		})
	}
	return group.Wait()
}

// volumes unmounts what pods had mounted; the files of their volumes stay for
// when they run again, unless everything goes.
func (d downer) volumes(purge bool) error {
	if purge {
		return volumes.Cleanup(d.NodeRoot())
	}
	return volumes.Unmount(d.NodeRoot())
}

// graceAnnotation is what node agents note on containers.
const graceAnnotation = "io.kubernetes.pod.terminationGracePeriod"

func grace(annotations map[string]string) time.Duration {
	seconds, err := strconv.Atoi(annotations[graceAnnotation])
	if err != nil || seconds < 0 {
		return maxGrace
	}
	return min(time.Duration(seconds)*time.Second, maxGrace)
}

// removeLogs removes the log folder of a container's pod.
func (d downer) removeLogs(ctx context.Context, c *cri.Client, id string) {
	status, err := c.ContainerStatus(ctx, id)
	if err != nil || status.LogPath == "" {
		return
	}
	if pod := filepath.Dir(filepath.Dir(status.LogPath)); filepath.Dir(pod) == filepath.Clean(d.LogDir) {
		if err := os.RemoveAll(pod); err != nil {
			d.logger.Warn("logs of a pod were left", "path", pod, "error", err)
		}
	}
}

// runtime stops the runtime and the keep, and removes what containers left:
// mounts, cgroups, namespaces, links.
func (d downer) runtime(ctx context.Context, purge bool) error {
	var failed []error
	if d.up(ctx) {
		failed = append(failed, d.keep.Stop(ctx, serviceRuntime, stopGraceMillis*time.Millisecond))
	} else {
		failed = append(failed, d.endLeft(ctx, serviceRuntime))
	}
	folder, err := payload.Unpack(d.Settings.programs())
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	args := append([]string{"cleanup"}, d.runtimeFlags()...)
	if !purge {
		args = append(args, "--keep-images")
	}
	cleanup := exec.CommandContext(ctx, programs{folder: folder}.runtime(), args...)
	if out, err := cleanup.CombinedOutput(); err != nil {
		failed = append(failed, fmt.Errorf("clean up after containers: %w: %s", err, out))
	}
	if d.up(ctx) {
		failed = append(failed, d.keep.Shutdown(ctx, true))
	}
	return errors.Join(failed...)
}
