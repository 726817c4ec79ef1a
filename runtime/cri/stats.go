package cri

import (
	"context"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/cgroup"
	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/podnet"
	"github.com/knarr-io/knarr/runtime/sandbox"
)

func value(n uint64) *cri.UInt64Value { return &cri.UInt64Value{Value: n} }

func cpuUsage(u cgroup.Usage, now int64) *cri.CpuUsage {
	return &cri.CpuUsage{Timestamp: now, UsageCoreNanoSeconds: value(u.CPU)}
}

// unlimited is above what a group without a limit reports, in bytes.
const unlimited = 1 << 60

func memoryUsage(u cgroup.Usage, now int64) *cri.MemoryUsage {
	m := &cri.MemoryUsage{Timestamp: now, WorkingSetBytes: value(u.WorkingSet), UsageBytes: value(u.Memory), RssBytes: value(u.RSS),
		PageFaults: value(u.PageFaults), MajorPageFaults: value(u.MajorFaults)}
	if u.Limit > 0 && u.Limit < unlimited {
		m.AvailableBytes = value(u.Limit - min(u.WorkingSet, u.Limit))
	}
	return m
}

func (s *Service) containerStats(c *container.Container) *cri.ContainerStats {
	out := &cri.ContainerStats{Attributes: &cri.ContainerAttributes{Id: c.Meta.ID, Metadata: c.Config.GetMetadata(),
		Labels: c.Config.GetLabels(), Annotations: c.Config.GetAnnotations()}}
	now := time.Now().UnixNano()
	if c.State() == cri.ContainerState_CONTAINER_RUNNING {
		if u, err := s.Containers.Usage(c); err == nil {
			out.Cpu, out.Memory = cpuUsage(u, now), memoryUsage(u, now)
			out.Swap = &cri.SwapUsage{Timestamp: now, SwapUsageBytes: value(u.Swap)}
		}
	}
	upper := s.Containers.Upper(c.Meta.ID)
	if d, known := s.disk.usage(upper); known {
		out.WritableLayer = &cri.FilesystemUsage{Timestamp: d.at.UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: filepath.Dir(upper)},
			UsedBytes: value(d.bytes), InodesUsed: value(d.inodes)}
	}
	return out
}

// ContainerStats returns what one container uses.
func (s *Service) ContainerStats(_ context.Context, r *cri.ContainerStatsRequest) (*cri.ContainerStatsResponse, error) {
	c, err := s.Containers.Get(r.GetContainerId())
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.ContainerStatsResponse{Stats: s.containerStats(c)}, nil
}

func (s *Service) listContainerStats(f *cri.ContainerStatsFilter) []*cri.ContainerStats {
	var out []*cri.ContainerStats
	for _, c := range s.Containers.List() {
		if c.State() == cri.ContainerState_CONTAINER_RUNNING && matchID(c.Meta.ID, f.GetId()) &&
			matchID(c.Meta.SandboxID, f.GetPodSandboxId()) && matchLabels(c.Config.GetLabels(), f.GetLabelSelector()) {
			out = append(out, s.containerStats(c))
		}
	}
	return out
}

// ListContainerStats returns what running containers use.
func (s *Service) ListContainerStats(_ context.Context, r *cri.ListContainerStatsRequest) (*cri.ListContainerStatsResponse, error) {
	return &cri.ListContainerStatsResponse{Stats: s.listContainerStats(r.GetFilter())}, nil
}

// StreamContainerStats is ListContainerStats as a stream.
func (s *Service) StreamContainerStats(r *cri.StreamContainerStatsRequest, out cri.RuntimeService_StreamContainerStatsServer) error {
	for _, st := range s.listContainerStats(r.GetFilter()) {
		if err := out.Send(&cri.StreamContainerStatsResponse{ContainerStats: []*cri.ContainerStats{st}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sandboxStats(sb *sandbox.Sandbox) *cri.PodSandboxStats {
	now := time.Now().UnixNano()
	linux := &cri.LinuxPodSandboxStats{Containers: s.listContainerStats(&cri.ContainerStatsFilter{PodSandboxId: sb.ID})}
	if u, err := s.Containers.PodUsage(sb); err == nil {
		linux.Cpu, linux.Memory = cpuUsage(u, now), memoryUsage(u, now)
		linux.Process = &cri.ProcessUsage{Timestamp: now, ProcessCount: value(u.NumProcs)}
	}
	if !sb.HostNetwork() {
		if n, err := podnet.Stats(sb.ID); err == nil {
			linux.Network = &cri.NetworkUsage{Timestamp: now, DefaultInterface: &cri.NetworkInterfaceUsage{Name: "eth0",
				RxBytes: value(n.RxBytes), RxErrors: value(n.RxErrors), TxBytes: value(n.TxBytes), TxErrors: value(n.TxErrors)}}
		}
	}
	return &cri.PodSandboxStats{Linux: linux, Attributes: &cri.PodSandboxAttributes{Id: sb.ID, Metadata: sb.Config.GetMetadata(),
		Labels: sb.Config.GetLabels(), Annotations: sb.Config.GetAnnotations()}}
}

// PodSandboxStats returns what one pod uses.
func (s *Service) PodSandboxStats(_ context.Context, r *cri.PodSandboxStatsRequest) (*cri.PodSandboxStatsResponse, error) {
	sb, err := s.Sandboxes.Get(r.GetPodSandboxId())
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.PodSandboxStatsResponse{Stats: s.sandboxStats(sb)}, nil
}

func (s *Service) listSandboxStats(f *cri.PodSandboxStatsFilter) []*cri.PodSandboxStats {
	var out []*cri.PodSandboxStats
	for _, sb := range s.Sandboxes.List() {
		if sb.Ready() && matchID(sb.ID, f.GetId()) && matchLabels(sb.Config.GetLabels(), f.GetLabelSelector()) {
			out = append(out, s.sandboxStats(sb))
		}
	}
	return out
}

// ListPodSandboxStats returns what pods use.
func (s *Service) ListPodSandboxStats(_ context.Context, r *cri.ListPodSandboxStatsRequest) (*cri.ListPodSandboxStatsResponse, error) {
	return &cri.ListPodSandboxStatsResponse{Stats: s.listSandboxStats(r.GetFilter())}, nil
}

// StreamPodSandboxStats is ListPodSandboxStats as a stream.
func (s *Service) StreamPodSandboxStats(r *cri.StreamPodSandboxStatsRequest, out cri.RuntimeService_StreamPodSandboxStatsServer) error {
	for _, st := range s.listSandboxStats(r.GetFilter()) {
		if err := out.Send(&cri.StreamPodSandboxStatsResponse{PodSandboxStats: []*cri.PodSandboxStats{st}}); err != nil {
			return err
		}
	}
	return nil
}

// diskAge is how old a measured folder may be: walking it costs its size.
const diskAge = 10 * time.Second

// diskShare bounds the walks through a folder to this part of the time, and
// diskWalks how many there are at a time.
const (
	diskShare = 5
	diskWalks = 4
)

// diskWait is how long somebody waits for the walk that is needed anew: the
// figures of memory and CPU wait along.
const diskWait = 100 * time.Millisecond

type diskUsage struct {
	bytes, inodes uint64
	at            time.Time
}

// diskFolder is what is known of a folder. walk is closed when the walk that is
// under way ends; nil without one.
type diskFolder struct {
	diskUsage
	due, asked, began time.Time
	walk              chan struct{}
}

// diskCache remembers the sizes of folders for a while. The zero value is ready
// for use.
type diskCache struct {
	// look walks through a folder; nil for measure.
	look func(dir string) diskUsage

	mu      sync.Mutex
	walks   int
	folders map[string]*diskFolder
}

// usage is the size of a folder, as of before where a walk takes its time; known
// is false as long as no walk has ended.
func (d *diskCache) usage(dir string) (_ diskUsage, known bool) {
	if walk := d.begin(dir); walk != nil {
		timer := time.NewTimer(diskWait)
		defer timer.Stop()
		select {
		case <-walk:
		case <-timer.C:
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.folders[dir]
	return f.diskUsage, !f.at.IsZero()
}

// begin has a folder walked through where that is due; the channel is closed
// when a walk that began just now ends.
func (d *diskCache) begin(dir string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for k, f := range d.folders {
		if k != dir && f.walk == nil && now.Sub(f.asked) > 10*diskAge {
			delete(d.folders, k)
		}
	}
	if d.folders == nil {
		d.folders = map[string]*diskFolder{}
	}
	f := d.folders[dir]
	if f == nil {
		f = &diskFolder{}
		d.folders[dir] = f
	}
	f.asked = now
	switch {
	case f.walk != nil && now.Sub(f.began) < diskWait:
		return f.walk
	case f.walk != nil, now.Before(f.due), d.walks >= diskWalks:
		return nil
	}
	d.walks++
	f.walk, f.began = make(chan struct{}), now
	go d.walk(dir, f)
	return f.walk
}

func (d *diskCache) walk(dir string, f *diskFolder) {
	look := d.look
	if look == nil {
		look = measure
	}
	u := look(dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	f.diskUsage, f.due = u, time.Now().Add(max(diskAge, diskShare*time.Since(f.began)))
	d.walks--
	close(f.walk)
	f.walk = nil
}

func measure(dir string) diskUsage {
	u := diskUsage{at: time.Now()}
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away meanwhile
		}
		u.inodes++
		if fi, err := e.Info(); err == nil {
			if st, ok := fi.Sys().(*syscall.Stat_t); ok {
				u.bytes += uint64(st.Blocks) * 512
			}
		}
		return nil
	})
	return u
}
