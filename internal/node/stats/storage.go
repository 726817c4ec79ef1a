package stats

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// storage fills in what the pod's volumes, logs and layers take.
func (p *Provider) storage(out *statsapi.PodStats, pod *corev1.Pod) {
	now := metav1.Now()
	whole := fsOf(p.Root, now)
	total := &statsapi.FsStats{Time: now}
	if whole != nil {
		total.AvailableBytes, total.CapacityBytes, total.InodesFree, total.Inodes = whole.AvailableBytes, whole.CapacityBytes, whole.InodesFree, whole.Inodes
	}
	var bytes, inodes uint64
	add := func(b, i uint64) { bytes, inodes = bytes+b, inodes+i }
	for i := range out.Containers {
		c := &out.Containers[i]
		if pod != nil && p.LogRoot != "" {
			written := p.sizes.of(filepath.Join(render.PodLogDir(p.LogRoot, pod), c.Name))
			c.Logs = &statsapi.FsStats{
				Time: metav1.NewTime(written.at), AvailableBytes: total.AvailableBytes, CapacityBytes: total.CapacityBytes, UsedBytes: &written.bytes,
				InodesFree: total.InodesFree, Inodes: total.Inodes, InodesUsed: &written.inodes,
			}
			add(written.bytes, written.inodes)
		}
		if c.Rootfs != nil && c.Rootfs.UsedBytes != nil && c.Rootfs.InodesUsed != nil {
			add(*c.Rootfs.UsedBytes, *c.Rootfs.InodesUsed)
		}
	}
	if pod != nil {
		out.VolumeStats = p.volumes(pod, now, add)
	}
	total.UsedBytes, total.InodesUsed = &bytes, &inodes
	out.EphemeralStorage = total
}

// claimVolumes are the pod's volumes that belong to claims.
func (p *Provider) claimVolumes(pod *corev1.Pod) []statsapi.VolumeStats {
	for i := range pod.Spec.Volumes {
		if claimOf(pod, &pod.Spec.Volumes[i]) != nil {
			all := p.volumes(pod, metav1.Now(), func(uint64, uint64) {})
			return slices.DeleteFunc(all, func(v statsapi.VolumeStats) bool { return v.PVCRef == nil })
		}
	}
	return nil
}

// volumes tells of each volume that lies below the pod's folder; add is told
// of those that count for the pod's own storage.
func (p *Provider) volumes(pod *corev1.Pod, now metav1.Time, add func(bytes, inodes uint64)) []statsapi.VolumeStats {
	if p.PodDir == nil {
		return nil
	}
	plugins, err := filepath.Glob(filepath.Join(p.PodDir(pod.UID), "volumes", "*", "*"))
	if err != nil {
		return nil
	}
	specs := map[string]*corev1.Volume{}
	for i := range pod.Spec.Volumes {
		specs[pod.Spec.Volumes[i].Name] = &pod.Spec.Volumes[i]
	}
	var out []statsapi.VolumeStats
	for _, dir := range plugins {
		spec := specs[filepath.Base(dir)]
		stats := fsOf(dir, now)
		if spec == nil || stats == nil {
			continue
		}
		v := statsapi.VolumeStats{Name: spec.Name, FsStats: *stats}
		v.PVCRef = claimOf(pod, spec)
		if v.PVCRef == nil || sameFileSystem(dir, p.Root) {
			size := p.sizes.of(dir)
			v.UsedBytes, v.InodesUsed = &size.bytes, &size.inodes
		}
		if onNodeDisk(spec) {
			add(*v.UsedBytes, *v.InodesUsed)
		}
		out = append(out, v)
	}
	return out
}

// onNodeDisk tells of a volume that counts for the pod's ephemeral storage.
func onNodeDisk(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumDefault
}

func claimOf(pod *corev1.Pod, v *corev1.Volume) *statsapi.PVCReference {
	switch {
	case v.PersistentVolumeClaim != nil:
		return &statsapi.PVCReference{Name: v.PersistentVolumeClaim.ClaimName, Namespace: pod.Namespace}
	case v.Ephemeral != nil:
		return &statsapi.PVCReference{Name: pod.Name + "-" + v.Name, Namespace: pod.Namespace}
	}
	return nil
}

func sameFileSystem(a, b string) bool {
	var x, y syscall.Stat_t
	return syscall.Stat(a, &x) == nil && syscall.Stat(b, &y) == nil && x.Dev == y.Dev
}

// sizeAge is how old the size of a folder may be: to walk it costs its size.
const sizeAge = 30 * time.Second

// maxWalk bounds the entries of one folder that are counted.
const maxWalk = 200_000

type size struct {
	bytes, inodes uint64
	at            time.Time
}

// sizes remembers the sizes of folders for a while. The zero value is ready.
type sizes struct {
	mu    sync.Mutex
	known map[string]size // guarded by mu
}

func (s *sizes) of(dir string) size {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if have, ok := s.known[dir]; ok && now.Sub(have.at) < sizeAge {
		return have
	}
	if s.known == nil {
		s.known = map[string]size{}
	}
	for name, have := range s.known {
		if now.Sub(have.at) > 10*sizeAge {
			delete(s.known, name)
		}
	}
	made := measure(dir)
	made.at = now
	s.known[dir] = made
	return made
}

// measure adds up what lies in a folder, on its own file system.
func measure(dir string) size {
	var out size
	var top syscall.Stat_t
	if syscall.Lstat(dir, &top) != nil {
		return out
	}
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it went away meanwhile
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !ok:
		case st.Dev != top.Dev && e.IsDir():
			return fs.SkipDir
		default:
			out.inodes++
			out.bytes += uint64(st.Blocks) * 512
		}
		if out.inodes > maxWalk {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		return size{}
	}
	return out
}
