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
func (m *Manager) provisioned(v *corev1.PersistentVolume) (Mounted, error) {
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
	select {
	case m.made <- v.Name:
	default: // looked at again at the next start
	}
	return Mounted{HostPath: dir}, nil
}

// Run deletes the folders of provisioned volumes that are gone, until ctx
// ends. It follows each volume that has a folder here.
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
			if err := m.follow(ctx, name); err != nil && ctx.Err() == nil {
				logger.Warn("the files of a deleted volume stay", "volume", name, "error", err)
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

// follow waits until a volume is gone and deletes its folder. Names are never
// used again.
func (m *Manager) follow(ctx context.Context, name string) error {
	watching, stop := context.WithCancel(ctx)
	informers := client.NewInformers(m.client, nil)
	defer informers.Wait()
	defer stop()
	volume := client.InformerWith[*corev1.PersistentVolume](informers, client.Selection{Fields: "metadata.name=" + name})
	gone := make(chan struct{}, 1)
	volume.OnChange(func(_, new *corev1.PersistentVolume) {
		if new == nil {
			select {
			case gone <- struct{}{}:
			default:
			}
		}
	})
	informers.Start(watching)
	if err := volume.WaitSynced(ctx); err != nil {
		return err
	}
	if _, there := volume.Get("", name); there {
		select {
		case <-gone:
		case <-ctx.Done():
			return nil
		}
	}
	return os.RemoveAll(filepath.Join(LocalDir(m.root), name))
}
