package images

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
)

// Policy says when unused images are removed.
type Policy struct {
	// High and Low are per cent of the images' file system in use: above the
	// first, images go until no more than the second is.
	High, Low int64
	// Enough is how many free bytes are enough, whatever their share; until
	// twice as many are free, images go. Zero leaves it to High and Low.
	Enough uint64
	// MinAge is how long an unused image stays; MaxAge how long it stays at most,
	// zero for ever.
	MinAge, MaxAge time.Duration
}

// DefaultPolicy is upstream's, but that a large disk which is nearly full still
// has room for images: one that was imported for later stays.
func DefaultPolicy() Policy {
	return Policy{High: 85, Low: 80, Enough: 5 << 30, MinAge: 2 * time.Minute}
}

// Collector removes images that no container uses when their disk fills up.
// It is safe for concurrent use.
type Collector struct {
	runtime *cri.Client
	policy  Policy
	removed func(image string) error

	mu sync.Mutex // one collection at a time
	// unused is since when an image has been seen without a container.
	unused map[string]time.Time
	// used are the images that containers had at the last look.
	used map[string]bool
}

// NewCollector makes a collector; removed is told of each image that it removes.
func NewCollector(runtime *cri.Client, policy Policy, removed func(image string) error) *Collector {
	return &Collector{runtime: runtime, policy: policy, removed: removed, unused: map[string]time.Time{}}
}

// Collect looks at the disk once and removes the images longest unused until
// enough is free, and those that are too old. It returns how many bytes it took
// back; an error also where too little could be freed.
func (g *Collector) Collect(ctx context.Context, now time.Time) (freed uint64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all, err := g.list(ctx, now)
	if err != nil {
		return 0, err
	}
	excess, err := g.excess(ctx)
	if err != nil {
		return 0, err
	}
	var failed []error // one that stays holds up no other
	for _, image := range g.candidates(all, now, g.policy.MinAge) {
		old := g.policy.MaxAge > 0 && now.Sub(g.unused[image.GetId()]) > g.policy.MaxAge
		if freed >= excess && !old {
			continue
		}
		failed = append(failed, g.remove(ctx, image, &freed))
	}
	if err := errors.Join(failed...); err != nil {
		return freed, err
	}
	if freed < excess {
		return freed, &ShortError{Wanted: excess, Freed: freed}
	}
	return freed, nil
}

// ShortError says that fewer bytes were freed than have to go.
type ShortError struct{ Wanted, Freed uint64 }

func (e *ShortError) Error() string {
	return fmt.Sprintf("Failed to garbage collect required amount of images. Attempted to free %d bytes, but only found %d bytes eligible to free.", e.Wanted, e.Freed)
}

// Clear removes every image that no container uses, whatever its age.
func (g *Collector) Clear(ctx context.Context, now time.Time) (freed uint64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all, err := g.list(ctx, now)
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, image := range g.candidates(all, now, 0) {
		failed = append(failed, g.remove(ctx, image, &freed))
	}
	return freed, errors.Join(failed...)
}

func (g *Collector) remove(ctx context.Context, image *runtimeapi.Image, freed *uint64) error {
	if err := g.runtime.RemoveImage(ctx, image.GetId()); err != nil {
		return fmt.Errorf("remove image %s: %w", image.GetId(), err)
	}
	*freed += image.GetSize()
	delete(g.unused, image.GetId())
	return g.removed(image.GetId())
}

// list gives all images and notes which are used.
func (g *Collector) list(ctx context.Context, now time.Time) ([]*runtimeapi.Image, error) {
	all, err := g.runtime.Images(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return all, g.note(ctx, all, now)
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
	g.used = map[string]bool{}
	for _, image := range all {
		id := image.GetId()
		present[id] = true
		if _, known := g.unused[id]; !known {
			g.unused[id] = now
		}
		if g.used[id] = inUse(image, used); g.used[id] {
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
func (g *Collector) candidates(all []*runtimeapi.Image, now time.Time, age time.Duration) []*runtimeapi.Image {
	var out []*runtimeapi.Image
	for _, image := range all {
		if !image.GetPinned() && !g.used[image.GetId()] && now.Sub(g.unused[image.GetId()]) >= age {
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
		if excess := g.policy.excess(size, st.Bavail*uint64(st.Bsize)); excess > 0 {
			return excess, nil
		}
	}
	return 0, nil
}

// excess is how many bytes too many are in use on a disk of that size.
func (p Policy) excess(size, free uint64) uint64 {
	used := size - free
	if used*100 < size*uint64(p.High) || (p.Enough > 0 && free >= p.Enough) {
		return 0
	}
	excess := used - size*uint64(p.Low)/100
	if p.Enough > 0 {
		excess = min(excess, 2*p.Enough-free)
	}
	return excess
}
