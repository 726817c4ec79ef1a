package static

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/testkit/await"
)

// following runs a source; declared are the names that it told last.
func following(t *testing.T, path string) (declared func() []string) {
	t.Helper()
	s, err := NewSource(path, "n1", podKind(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var names []string
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx, func(pods []*corev1.Pod) {
			mu.Lock()
			defer mu.Unlock()
			names = []string{}
			for _, p := range pods {
				names = append(names, p.Name)
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return names
	}
}

func declare(t *testing.T, folder, name string) {
	t.Helper()
	text := "{apiVersion: v1, kind: Pod, metadata: {name: " + name + "}, spec: {containers: [{name: c, image: x}]}}"
	if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A folder that is removed and made again is followed as before.
func TestFolderComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "manifests")
	declared := following(t, path)
	for _, name := range []string{"one", "two"} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		declare(t, path, name)
		await.Until(t, time.Minute, name+" is declared", func() bool { return slices.Equal(declared(), []string{name + "-n1"}) })
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		await.Until(t, time.Minute, "nothing is declared", func() bool { return len(declared()) == 0 })
	}
}

// A folder that cannot be read says nothing: what it declared runs on.
func TestFolderThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "manifests")
	s, err := NewSource(path, "n1", podKind(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	declare(t, path, "one")
	before := s.Read()
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, path); err != nil { // too many links
		t.Fatal(err)
	}
	if now := s.Read(); len(before) != 1 || !slices.Equal(now, before) {
		t.Errorf("declared: %d, and %d while the folder cannot be read", len(before), len(now))
	}
}
