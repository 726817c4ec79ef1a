package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/client"
)

// LocalDir is where the volumes lie that were made for claims on the disk of
// a node with this root.
func LocalDir(root string) string { return filepath.Join(root, "local") }

// provisioned makes the folder of a volume that the cluster provisioned here,
// unless it is there. Whoever may write volumes cannot reach other folders.
func (m *Manager) provisioned(ctx context.Context, v *corev1.PersistentVolume) (Mounted, error) {
	dir := filepath.Join(LocalDir(m.root), v.Name)
	if v.Spec.Local.Path != dir {
		return Mounted{}, fmt.Errorf("volume %q lies at %s, which is not below this node's folder %s", v.Name, v.Spec.Local.Path, LocalDir(m.root))
	}
	// Its mode is the pods' to change: it is set once.
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(dir, 0o777); err != nil {
			return Mounted{}, err
		}
	} else if err != nil {
		return Mounted{}, err
	}
	if localvolume.Limited(v) {
		if err := m.sized(ctx, v, dir); err != nil {
			return Mounted{}, err
		}
	}
	select {
	case m.made <- v.Name:
	default: // looked at again at the next start
	}
	return Mounted{HostPath: dir}, nil
}

// Run deletes the folders of provisioned volumes when these are deleted and
// their reclaim policy is Delete, and grows those whose size is a limit, until
// ctx ends. It follows each volume that has a folder here. A folder of which no volume is known is left and told
// of: that nobody knows it is no proof that nobody wants it.
func (m *Manager) Run(ctx context.Context, logger *slog.Logger) error {
	var following sync.WaitGroup
	defer following.Wait()
	known := map[string]bool{}
	follow := func(name string) {
		if known[name] || !localvolume.HasName(name) {
			return
		}
		known[name] = true
		following.Go(func() {
			if err := m.follow(ctx, name, logger); err != nil && ctx.Err() == nil {
				logger.Warn("the files of a volume stay", "volume", name, "dir", filepath.Join(LocalDir(m.root), name), "error", err)
			}
		})
	}
	entries, err := os.ReadDir(LocalDir(m.root))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("local volumes: %w", err)
	}
	for _, e := range entries {
		follow(e.Name())
	}
	for {
		select {
		case name := <-m.made:
			follow(name)
		case <-ctx.Done():
			return nil
		}
	}
}

// errUnknown says that a folder's volume was gone before it was looked for.
var errUnknown = errors.New("no such volume is known: delete the folder if nobody needs it")

// follow grows a volume with its object, waits until that is gone, and deletes
// the folder where its policy says so. Names are never used again.
func (m *Manager) follow(ctx context.Context, name string, logger *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	informers := client.NewInformers(m.client, nil)
	defer informers.Wait()
	defer stop()
	life, err := watch(ctx, informers, name)
	if err != nil {
		return err
	}
	for {
		select {
		case v := <-life.changed:
			if err := m.grow(ctx, v); err != nil && ctx.Err() == nil {
				logger.Warn("a volume does not grow", "volume", name, "error", err)
			}
		case last := <-life.gone:
			return m.clean(last)
		case <-ctx.Done():
			return nil
		}
	}
}

// life is what is told of a volume: its newest state where it has changed, and
// its last when it is gone.
type life struct{ changed, gone chan *corev1.PersistentVolume }

// watch tells of a volume from now on. It returns when the volume has been
// seen.
func watch(ctx context.Context, informers *client.Informers, name string) (life, error) {
	volume := client.InformerWith[*corev1.PersistentVolume](informers, client.Selection{Fields: "metadata.name=" + name})
	out := life{make(chan *corev1.PersistentVolume, 1), make(chan *corev1.PersistentVolume, 1)}
	volume.OnChange(func(old, new *corev1.PersistentVolume) {
		if new == nil {
			replace(out.gone, old)
			return
		}
		replace(out.changed, new)
	})
	informers.Start(ctx)
	if err := volume.WaitSynced(ctx); err != nil {
		return life{}, err
	}
	if _, there := volume.Get("", name); !there && len(out.gone) == 0 {
		return life{}, errUnknown
	}
	return out, nil
}

// replace puts a value into a channel that holds one, in the place of that
// which nobody has read. One goroutine writes.
func replace[T any](to chan T, value T) {
	select {
	case <-to:
	default:
	}
	to <- value
}

// clean deletes the files of a volume that is gone.
func (m *Manager) clean(v *corev1.PersistentVolume) error {
	if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	dir := filepath.Join(LocalDir(m.root), v.Name)
	if err := unmountBelow(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.RemoveAll(m.sizedFile(v.Name))
}
