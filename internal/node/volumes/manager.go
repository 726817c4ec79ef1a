package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/objects"
)

// Manager prepares volumes below one root. It is safe for concurrent use; one
// pod's volumes are worked on by one caller at a time.
type Manager struct {
	root    string
	client  *client.Client
	objects *objects.Cache
	tokens  *tokens
	made    chan string // provisioned volumes that got their folder
	sizing  sync.Mutex  // held while a volume whose size is a limit is made, mounted or grown
}

// Input is what volumes need to know besides the pod.
type Input struct {
	// Allocatable stands in for limits that are not set.
	Allocatable corev1.ResourceList
}

// Mounted is a volume that is ready.
type Mounted struct {
	HostPath string
	ReadOnly bool
	// Image is set for a volume that is an image; HostPath is empty then.
	Image *corev1.ImageVolumeSource
	// Device is set for a claim of block mode.
	Device bool
	// Own is set for a folder that the node made for it: the runtime may label it
	// for the pod.
	Own bool
}

// Error is a volume that could not be prepared.
type Error struct {
	Volume string
	Err    error
}

func (e *Error) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", e.Volume, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// New makes a manager of the volumes below root, an absolute path, and mounts
// its tmpfs unless it is there.
func New(root string, c *client.Client, cache *objects.Cache) (*Manager, error) {
	m := &Manager{root: root, client: c, objects: cache, tokens: newTokens(c), made: make(chan string, 128)}
	for _, dir := range []string{m.podsDir(), m.memoryDir()} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("volumes: %w", err)
		}
	}
	if err := ensureTmpfs(m.memoryDir(), 0); err != nil {
		return nil, fmt.Errorf("volumes: tmpfs for secrets at %s: %w", m.memoryDir(), err)
	}
	return m, os.Chmod(m.memoryDir(), 0o711)
}

func (m *Manager) podsDir() string   { return filepath.Join(m.root, "pods") }
func (m *Manager) memoryDir() string { return filepath.Join(m.root, "memory") }

// PodDir is where files of a pod lie that are no volumes.
func (m *Manager) PodDir(uid types.UID) string { return filepath.Join(m.podsDir(), string(uid)) }

func (m *Manager) volumeDir(uid types.UID, plugin, name string) string {
	return filepath.Join(m.PodDir(uid), "volumes", "kubernetes.io~"+plugin, name)
}

// EmptyDir is where an emptyDir of the pod lies.
func (m *Manager) EmptyDir(uid types.UID, name string) string {
	return m.volumeDir(uid, "empty-dir", name)
}

// secretDir is a volume's folder on the tmpfs.
func (m *Manager) secretDir(uid types.UID, name string) string {
	return filepath.Join(m.memoryDir(), string(uid), name)
}

// Mount prepares all volumes of a pod, or brings them up to date. The objects
// that they refer to must be in Use. An *Error names the first volume at fault;
// the others are up to date all the same: a token must not age because a Secret
// beside it is gone.
func (m *Manager) Mount(ctx context.Context, pod *corev1.Pod, in Input) (map[string]Mounted, error) {
	if err := os.MkdirAll(m.PodDir(pod.UID), 0o750); err != nil {
		return nil, err
	}
	out := make(map[string]Mounted, len(pod.Spec.Volumes))
	var failed *Error
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		mounted, err := m.mount(ctx, pod, v, in)
		if err != nil {
			if failed == nil {
				failed = &Error{Volume: v.Name, Err: err}
			}
			continue
		}
		mounted.Own = v.HostPath == nil && strings.HasPrefix(mounted.HostPath, m.root+"/")
		out[v.Name] = mounted
	}
	if failed != nil {
		return nil, failed
	}
	return out, nil
}

func (m *Manager) mount(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, in Input) (Mounted, error) {
	switch {
	case v.EmptyDir != nil:
		return m.emptyDir(pod, v)
	case v.HostPath != nil:
		return hostPath(v.HostPath)
	case v.Image != nil:
		return Mounted{Image: v.Image, ReadOnly: true}, nil
	case v.PersistentVolumeClaim != nil:
		return m.claim(ctx, pod, v.Name, v.PersistentVolumeClaim.ClaimName, v.PersistentVolumeClaim.ReadOnly)
	case v.Ephemeral != nil:
		return m.claim(ctx, pod, v.Name, pod.Name+"-"+v.Name, false)
	case v.ConfigMap != nil, v.Secret != nil, v.DownwardAPI != nil, v.Projected != nil:
		return m.files(ctx, pod, v, in)
	}
	return Mounted{}, errors.New("no volume plugin of this node takes a volume of that type")
}

// files prepares a volume whose files come from objects.
func (m *Manager) files(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, in Input) (Mounted, error) {
	s := &sources{m: m, pod: pod, in: in}
	payload := Payload{}
	dir := m.secretDir(pod.UID, v.Name)
	var err error
	switch {
	case v.ConfigMap != nil:
		dir = m.volumeDir(pod.UID, "configmap", v.Name)
		err = s.configMap(ctx, payload, v.ConfigMap)
	case v.Secret != nil:
		err = s.secret(ctx, payload, v.Secret)
	case v.DownwardAPI != nil:
		err = s.downward(payload, v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	case v.Projected != nil:
		err = s.projected(ctx, payload, v.Projected)
	}
	if err != nil {
		return Mounted{}, err
	}
	if err := makeDir(dir, 0o755); err != nil {
		return Mounted{}, err
	}
	return Mounted{HostPath: dir, ReadOnly: true}, write(dir, payload, fsGroup(pod))
}

// makeDir makes a folder whose parents only root may list.
func makeDir(dir string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Mkdir's mode is cut by the umask.
	return os.Chmod(dir, mode)
}

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// RenewAt is when the pod's volumes have to be mounted again because a token
// ages; zero for never.
func (m *Manager) RenewAt(uid types.UID) time.Time { return m.tokens.next(uid) }

// Release takes all volumes of a pod away. It leaves nothing mounted, and
// never deletes through a mount.
func (m *Manager) Release(uid types.UID) error {
	m.tokens.drop(uid)
	if uid == "" || uid == "." || uid == ".." || filepath.Base(string(uid)) != string(uid) {
		return fmt.Errorf("volumes: %q is no pod's uid", uid)
	}
	for _, dir := range []string{m.PodDir(uid), filepath.Join(m.memoryDir(), string(uid))} {
		if err := unmountBelow(dir); err != nil {
			return fmt.Errorf("volumes of pod %s: %w", uid, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("volumes of pod %s: %w", uid, err)
		}
	}
	return nil
}

// Leftovers lists the pods of which something lies on the disk.
func (m *Manager) Leftovers() ([]types.UID, error) {
	seen := map[types.UID]bool{}
	var out []types.UID
	for _, dir := range []string{m.podsDir(), m.memoryDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if uid := types.UID(e.Name()); !seen[uid] {
				seen[uid] = true
				out = append(out, uid)
			}
		}
	}
	return out, nil
}

// Unmount takes every mount of a node agent away and leaves its files; root is
// a root folder that New was given. Nothing of the agent may run any more.
func Unmount(root string) error { return unmountBelow(root) }

// Cleanup takes every mount and file of a node agent away; root is a root
// folder that New was given. Used when Knarr is removed from the machine.
func Cleanup(root string) error {
	if err := unmountBelow(root); err != nil {
		return err
	}
	return os.RemoveAll(root)
}
