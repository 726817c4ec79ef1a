package images

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// disk is a file system of 1 MiB for images.
func disk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("images", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("this test mounts a file system (run it as root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill has so many KiB of the disk in use.
func fill(t *testing.T, dir string, kib int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, kib<<10), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *pulls) put(name string, kib uint64, pinned bool) {
	p.runtime.PutImage(&runtimeapi.Image{Id: "sha256:" + name, RepoTags: []string{name}, Size: kib << 10, Pinned: pinned})
}

// gone are the images that were removed, in order.
func (p *pulls) gone() (out []string) {
	for _, call := range p.runtime.Calls() {
		if name, ok := strings.CutPrefix(call, "RemoveImage sha256:"); ok {
			out = append(out, name)
		}
	}
	return out
}

func (p *pulls) collector(policy Policy) *Collector {
	return NewCollector(p.puller.runtime, policy, func(string) error { return nil })
}

// runs makes a container of the image.
func (p *pulls) runs(image string) {
	p.t.Helper()
	sandbox, err := p.runtime.RunPodSandbox(p.t.Context(), &runtimeapi.RunPodSandboxRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.runtime.CreateContainer(p.t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: sandbox.GetPodSandboxId(),
		Config: &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: image}}})
	if err != nil {
		p.t.Fatal(err)
	}
}

// Above the high threshold the images that were unused for longest go, until
// the low one is met: no pinned one, none in use, none that has just come.
func TestImagesGoWhenTheDiskIsFull(t *testing.T) {
	p, dir, now := newPulls(t), disk(t), time.Unix(1_700_000_000, 0)
	p.runtime.KeepImagesIn(dir)
	p.put("used", 500, false)
	p.put("pinned", 500, true)
	p.put("old", 60, false)
	p.runs("used")
	c := p.collector(Policy{High: 85, Low: 80, MinAge: 2 * time.Minute})
	collect := func(after time.Duration, wantFreed uint64, want ...string) error {
		t.Helper()
		freed, err := c.Collect(t.Context(), now.Add(after))
		if got := p.gone(); !slices.Equal(got, want) || freed != wantFreed<<10 {
			t.Errorf("after %s: %d bytes freed, gone are %v, want %v (%v)", after, freed, got, want, err)
		}
		return err
	}
	if err := collect(0, 0); err != nil {
		t.Error(err)
	}
	fill(t, dir, 900) // of 1024; 819 are the low threshold
	var short *ShortError
	if err := collect(time.Minute, 0); !errors.As(err, &short) || short.Freed != 0 {
		t.Errorf("with images that may not go yet: %v", err)
	}
	p.put("later", 60, false)
	p.put("latest", 60, false)
	if err := collect(2*time.Minute, 60, "old"); !errors.As(err, &short) {
		t.Errorf("with too little to free: %v", err)
	}
	if err := collect(4*time.Minute, 120, "old", "later", "latest"); err != nil {
		t.Error(err)
	}
}

// Of a large disk a sixth is plenty: images stay while enough bytes are free,
// and go until twice as many are.
func TestExcessOfADisk(t *testing.T) {
	const gib = 1 << 30
	share, enough := Policy{High: 85, Low: 80}, Policy{High: 85, Low: 80, Enough: 5 * gib}
	for _, tc := range []struct {
		policy                Policy
		size, free, wantsGone uint64
	}{
		{share, 100 * gib, 16 * gib, 0},
		{share, 100 * gib, 10 * gib, 10 * gib},
		{enough, 100 * gib, 10 * gib, 0},
		{enough, 100 * gib, 4 * gib, 6 * gib},
		{enough, 20 * gib, 4 * gib, 0},
		{enough, 20 * gib, 2 * gib, 2 * gib},
	} {
		if got := tc.policy.excess(tc.size, tc.free); got != tc.wantsGone {
			t.Errorf("%d GiB free of %d: %d bytes too many, want %d", tc.free/gib, tc.size/gib, got, tc.wantsGone)
		}
	}
}

// Below the threshold images go that were unused for too long, and all of them
// when the disk is short otherwise.
func TestImagesGoOfAge(t *testing.T) {
	p, now := newPulls(t), time.Unix(1_700_000_000, 0)
	p.runtime.KeepImagesIn(disk(t))
	p.put("old", 60, false)
	p.put("pinned", 60, true)
	c := p.collector(Policy{High: 85, Low: 80, MaxAge: time.Hour})
	for _, after := range []time.Duration{0, time.Hour, time.Hour + time.Second} {
		if len(p.gone()) > 0 {
			t.Errorf("gone before %s: %v", after, p.gone())
		}
		if _, err := c.Collect(t.Context(), now.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	p.put("new", 60, false)
	if freed, err := c.Clear(t.Context(), now); err != nil || freed != 60<<10 {
		t.Errorf("cleared %d bytes, %v", freed, err)
	}
	if got := p.gone(); !slices.Equal(got, []string{"old", "new"}) {
		t.Errorf("gone are %v", got)
	}
}

// An image that cannot be removed holds up none of the others.
func TestAnImageThatStaysHoldsUpNoOther(t *testing.T) {
	p, now := newPulls(t), time.Unix(1_700_000_000, 0)
	dir := disk(t)
	p.runtime.KeepImagesIn(dir)
	p.put("a", 60, false)
	p.put("b", 60, false)
	c := p.collector(Policy{High: 85, Low: 80})
	if freed, err := c.Collect(t.Context(), now); freed != 0 || err != nil {
		t.Fatal(freed, err)
	}
	fill(t, dir, 900)
	busy := errors.New("it is in use")
	p.runtime.Fail("RemoveImage", busy)
	if freed, err := c.Collect(t.Context(), now.Add(time.Minute)); freed != 60<<10 || err == nil || !strings.Contains(err.Error(), busy.Error()) {
		t.Errorf("%d bytes freed, %v", freed, err)
	}
	p.runtime.Fail("RemoveImage", busy)
	p.put("c", 60, false)
	if freed, err := c.Clear(t.Context(), now.Add(time.Minute)); freed != 60<<10 || err == nil {
		t.Errorf("%d bytes cleared, %v", freed, err)
	}
}
