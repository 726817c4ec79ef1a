package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/internal/app/payload"
	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/kubeconfig"
	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/volumes"
)

// maxGrace bounds how long down lets a container end by itself.
const maxGrace = 10 * time.Second

// Down stops the cluster and leaves the machine as it was, but for the data,
// from which Up brings the same cluster back. With purge the data goes too.
// Each part is undone even where another one fails. It tells whether there was
// a cluster, running or not.
func Down(ctx context.Context, s Settings, target kubeconfig.Target, purge bool, board *progress.Board, logger *slog.Logger) (was bool, err error) {
	if os.Geteuid() != 0 {
		return false, remedy.New("a cluster's containers belong to root", "run it again with sudo")
	}
	if _, err := os.Stat(s.DataDir); errors.Is(err, fs.ErrNotExist) {
		board.Say("There is no cluster in %s: nothing to stop.", s.DataDir)
		return false, nil
	}
	return true, down(ctx, s, target, purge, board, logger)
}

func down(ctx context.Context, s Settings, target kubeconfig.Target, purge bool, board *progress.Board, logger *slog.Logger) error {
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
	var nodes []downer
	for _, n := range s.nodes() {
		nodes = append(nodes, newDowner(n, purge, logger))
	}
	var failed []error
	step := func(name string, f func(context.Context, downer) error) {
		failed = append(failed, board.Step(name).End(onEach(ctx, nodes, f)))
	}
	once := func(name string, f func() error) { failed = append(failed, board.Step(name).End(f())) }
	if s.NodeConfig != "" && !purge {
		// While the API takes the pods' last word.
		step("end the pods as the nodes are configured", func(ctx context.Context, d downer) error { return d.drain(ctx) })
	}
	step("stop the server and the edge", func(ctx context.Context, d downer) error { return d.services(ctx) })
	step("stop the pods", func(ctx context.Context, d downer) error { return d.pods(ctx) })
	step("stop the runtime", func(ctx context.Context, d downer) error { return d.runtime(ctx) })
	step("release the volumes", func(_ context.Context, d downer) error { return d.volumes() })
	once("restore the network", func() error { return s.removeNetworks(s.nodes(), logger) })
	if s.Server == "" {
		once("take the kubeconfig back", func() error { return kubeconfig.Remove(ctx, target, "knarr") })
	}
	// What still runs is reached through these folders: they go last.
	for _, d := range nodes {
		if d.up(context.WithoutCancel(ctx)) {
			return errors.Join(append(failed, errStillUp)...)
		}
	}
	if purge {
		once("remove the data", func() error { return errors.Join(os.RemoveAll(s.DataDir), removeEmpty(s.LogDir)) })
	}
	return errors.Join(append(failed, s.removeRunDir())...)
}

// removeRunDir removes the folder of sockets. The lock in it, which the caller
// has, goes last: until then nobody brings up what would be removed along.
func (s Settings) removeRunDir() error {
	entries, err := os.ReadDir(s.RunDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var failed []error
	for _, e := range entries {
		if path := filepath.Join(s.RunDir, e.Name()); path != s.lockFile() {
			failed = append(failed, os.RemoveAll(path))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return errors.Join(removeEmpty(s.lockFile()), removeEmpty(s.RunDir))
}

// removeEmpty removes a folder that may hold what belongs to others, unless it
// does.
func removeEmpty(dir string) error {
	err := os.Remove(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY) {
		return nil
	}
	return err
}

// onEach does a step of every node at the same time; errors are joined, so
// that one node's does not keep another from being taken down.
func onEach(ctx context.Context, nodes []downer, f func(context.Context, downer) error) error {
	failed := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, d := range nodes {
		all.Go(func() {
			if err := f(ctx, d); err != nil && len(nodes) > 1 {
				failed[i] = fmt.Errorf("node %s: %w", d.NodeName, err)
			} else {
				failed[i] = err
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// errStillUp: a step has failed, or was interrupted, and services go on.
var errStillUp = remedy.New("the cluster is not quite down", "run it again")

// downer takes one node down.
type downer struct {
	Settings
	purge  bool
	now    bool // containers get no time to end by themselves
	keep   keep.Client
	logger *slog.Logger
}

func newDowner(s Settings, purge bool, logger *slog.Logger) downer {
	return downer{Settings: s, purge: purge, keep: keep.Client{Socket: s.keepSocket()}, logger: logger}
}

// mainService is what runs the node agent.
func (d downer) mainService() string {
	if d.isAgent() {
		return serviceAgent
	}
	return serviceServer
}

// up tells whether a keep is there to ask.
func (d downer) up(ctx context.Context) bool {
	_, err := d.keep.List(ctx)
	return err == nil
}

func (d downer) services(ctx context.Context) error {
	if !d.up(ctx) {
		return d.endLeft(ctx, d.mainService(), serviceEdge)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range []string{d.mainService(), serviceEdge} {
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
	if !d.ownRuntime() {
		_, err := os.Stat(d.RuntimeEndpoint)
		return err == nil
	}
	if _, left := d.leftovers()[serviceRuntime]; left {
		return true
	}
	services, err := d.keep.List(ctx)
	return err == nil && slices.ContainsFunc(services, func(s keep.Status) bool { return s.Name == serviceRuntime })
}

// pods ends every container as its pod would be ended, all at the same time.
func (d downer) pods(ctx context.Context) error {
	if !d.runtimeRuns(ctx) {
		return nil
	}
	c, err := cri.Dial(d.RuntimeSocket(), nil)
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
		if !d.ownRuntime() && container.Labels[podUID] == "" {
			continue // of another program, where the runtime is not Knarr's
		}
		group.Go(func() error {
			if d.purge {
				defer d.removeLogs(ctx, c, container.Id)
			}
			if container.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
				return nil
			}
			time := grace(container.Annotations)
			if d.now {
				time = 0
			}
			return c.StopContainer(ctx, container.Id, int64(time.Seconds()))
		})
	}
	return group.Wait()
}

// volumes unmounts what pods had mounted; the files of their volumes stay for
// when they run again, unless everything goes.
func (d downer) volumes() error {
	if d.purge {
		return errors.Join(d.removeKnownLogs(), volumes.Cleanup(d.NodeRoot()))
	}
	return volumes.Unmount(d.NodeRoot())
}

// removeKnownLogs removes the log folders of the pods that have a folder in the
// node's: a runtime that was stopped before no longer tells of them. Folders
// are named NAMESPACE_NAME_UID, and others may have theirs there.
func (d downer) removeKnownLogs() error {
	logs, err := os.ReadDir(d.LogDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	failed := []error{err}
	for _, l := range logs {
		uid := l.Name()[strings.LastIndex(l.Name(), "_")+1:]
		if uid != "" && uid != l.Name() && exists(filepath.Join(d.NodeRoot(), "pods", uid)) {
			failed = append(failed, os.RemoveAll(filepath.Join(d.LogDir, l.Name())))
		}
	}
	return errors.Join(failed...)
}

// podUID is the label by which node agents know their pods.
const podUID = "io.kubernetes.pod.uid"

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

// foreignPods removes the cluster's pods from a runtime that is not Knarr's
// and runs on. Those of others have not the labels of a node agent.
func (d downer) foreignPods(ctx context.Context) error {
	if !d.runtimeRuns(ctx) {
		return nil
	}
	c, err := cri.Dial(d.RuntimeSocket(), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	sandboxes, err := c.Sandboxes(ctx, nil)
	if err != nil {
		return fmt.Errorf("ask the runtime for its pods: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sandboxes {
		if s.GetLabels()[podUID] == "" {
			continue
		}
		group.Go(func() error {
			if err := c.StopSandbox(ctx, s.GetId()); err != nil {
				return err
			}
			return c.RemoveSandbox(ctx, s.GetId())
		})
	}
	return group.Wait()
}

// runtime stops the runtime and the keep, and removes what containers left:
// mounts, cgroups, namespaces, links.
func (d downer) runtime(ctx context.Context) error {
	var failed []error
	if !d.ownRuntime() {
		failed = append(failed, d.foreignPods(ctx))
		if d.up(ctx) {
			failed = append(failed, d.keep.Shutdown(ctx, true))
		}
		return errors.Join(failed...)
	}
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
	if !d.purge {
		args = append(args, "--keep-images")
	}
	failed = append(failed, d.cleanup(ctx, programs{folder: folder}.runtime(), args))
	if d.up(ctx) {
		failed = append(failed, d.keep.Shutdown(ctx, true))
	}
	return errors.Join(failed...)
}
