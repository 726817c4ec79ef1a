package images

import (
	"context"
	"fmt"
	"sort"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
)

// Thresholds of the images' file system, in per cent of it in use, and the
// age below which an unused image stays; upstream's defaults.
const (
	gcAbove = 85
	gcUntil = 80
	gcAge   = 2 * time.Minute
)

// Collector removes images that no container uses when their disk fills up.
// It is used from one goroutine.
type Collector struct {
	runtime *cri.Client
	// unused is since when an image has been seen without a container.
	unused map[string]time.Time
}

// NewCollector makes a collector.
func NewCollector(runtime *cri.Client) *Collector {
	return &Collector{runtime: runtime, unused: map[string]time.Time{}}
}

// Collect looks at the disk once and removes the images longest unused until
// enough is free. It returns how many bytes it took back.
func (g *Collector) Collect(ctx context.Context, now time.Time) (freed uint64, err error) {
	all, err := g.runtime.Images(ctx)
	if err != nil {
		return 0, fmt.Errorf("list images: %w", err)
	}
	if err := g.note(ctx, all, now); err != nil {
		return 0, err
	}
	excess, err := g.excess(ctx)
	if err != nil || excess == 0 {
		return 0, err
	}
	for _, image := range g.candidates(all, now) {
		if freed >= excess {
			break
		}
		if err := g.runtime.RemoveImage(ctx, image.GetId()); err != nil {
			return freed, fmt.Errorf("remove image %s: %w", image.GetId(), err)
		}
		freed += image.GetSize()
		delete(g.unused, image.GetId())
	}
	return freed, nil
}

// note keeps since when each image is unused.
func (g *Collector) note(ctx context.Context, all []*runtimeapi.Image, now time.Time) error {
	containers, err := g.runtime.Containers(ctx, nil)
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	used := map[string]bool{}
	for _, c := range containers {
		used[c.GetImageId()], used[c.GetImageRef()], used[c.GetImage().GetImage()] = true, true, true
	}
	present := map[string]bool{}
	for _, image := range all {
		id := image.GetId()
		present[id] = true
		if _, known := g.unused[id]; !known {
			g.unused[id] = now
		}
		if inUse(image, used) {
			g.unused[id] = now
		}
	}
	for id := range g.unused {
		if !present[id] {
			delete(g.unused, id)
		}
	}
	return nil
}

func inUse(image *runtimeapi.Image, used map[string]bool) bool {
	for _, names := range [][]string{{image.GetId()}, image.GetRepoDigests(), image.GetRepoTags()} {
		for _, name := range names {
			if used[name] {
				return true
			}
		}
	}
	return false
}

// candidates are the images that may go, the longest unused first.
func (g *Collector) candidates(all []*runtimeapi.Image, now time.Time) []*runtimeapi.Image {
	var out []*runtimeapi.Image
	for _, image := range all {
		if !image.GetPinned() && now.Sub(g.unused[image.GetId()]) >= gcAge {
			out = append(out, image)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return g.unused[out[i].GetId()].Before(g.unused[out[j].GetId()]) })
	return out
}

// excess is how many bytes have to go; zero while the disk is below its
// threshold.
func (g *Collector) excess(ctx context.Context) (uint64, error) {
	info, err := g.runtime.ImageFs(ctx)
	if err != nil {
		return 0, fmt.Errorf("images' file system: %w", err)
	}
	for _, fs := range info.GetImageFilesystems() {
		var st unix.Statfs_t
		if err := unix.Statfs(fs.GetFsId().GetMountpoint(), &st); err != nil || st.Blocks == 0 {
			continue
		}
		size := st.Blocks * uint64(st.Bsize)
		used := size - st.Bavail*uint64(st.Bsize)
		if used*100 >= size*gcAbove {
			return used - size*gcUntil/100, nil
		}
	}
	return 0, nil
}
