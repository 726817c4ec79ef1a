package filewatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func receive(t *testing.T, from <-chan string, want string) {
	t.Helper()
	for {
		select {
		case got := <-from:
			if got == want {
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q was not told", want)
		}
	}
}

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("two")
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan string, 100), make(chan error, 1)
	go func() { ended <- Follow(ctx, path, []byte("one"), func(content []byte) { told <- string(content) }) }()
	receive(t, told, "two") // it changed before we looked
	write("three")
	receive(t, told, "three")
	if err := os.WriteFile(path+".new", []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	receive(t, told, "four")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write("five")
	receive(t, told, "five")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFollowNeedsAFolder(t *testing.T) {
	if err := Follow(t.Context(), filepath.Join(t.TempDir(), "none", "file"), nil, nil); err == nil {
		t.Error("a folder that does not exist was watched")
	}
}

// A folder that is not there yet is watched as soon as a link leads there.
func TestFollowWhereALinkLeads(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "link"), filepath.Join(dir, "elsewhere", "file")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(link, "one")
	told := make(chan string, 100)
	go func() {
		_ = Watch(t.Context(), []string{link, filepath.Join(dir, "nowhere", "file")}, func() {
			content, _ := os.ReadFile(link)
			told <- string(content)
		})
	}()
	receive(t, told, "one")
	if err := errors.Join(os.Mkdir(filepath.Dir(target), 0o700), os.Symlink(target, link+".new")); err != nil {
		t.Fatal(err)
	}
	write(target, "two")
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	receive(t, told, "two")
	write(target, "three")
	receive(t, told, "three")
}

// A folder that goes, and comes back later, or at another's place, is followed:
// so people and tools replace all of their settings.
func TestFollowWhereTheFolderIsReplaced(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etc", "settings")
	put := func(dir, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	put(dir, "one")
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan string, 100), make(chan error, 1)
	go func() {
		ended <- Follow(ctx, filepath.Join(dir, "file"), nil, func(content []byte) { told <- string(content) })
	}()
	receive(t, told, "one")
	for turn, gone := range []string{dir, filepath.Dir(dir)} {
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint("back ", turn)
		put(dir, text)
		receive(t, told, text)
	}
	put(dir+".new", "swapped")
	if err := errors.Join(os.Rename(dir, dir+".old"), os.Rename(dir+".new", dir)); err != nil {
		t.Fatal(err)
	}
	receive(t, told, "swapped")
	put(dir, "in the end")
	receive(t, told, "in the end")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What is not there at the first look is awaited, too: a folder besides another
// that is there, and where a link leads that is there before its target, as
// those to resolvers are after a boot.
func TestWatchAwaitsWhatIsNotThereYet(t *testing.T) {
	for name, in := range map[string]string{"a folder": "later", "below a folder": "later/below"} {
		for _, linked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, by a link %t", name, linked), func(t *testing.T) {
				root := t.TempDir()
				there, path := filepath.Join(root, "etc", "other"), filepath.Join(root, in, "file")
				paths := []string{there, path}
				if err := os.Mkdir(filepath.Dir(there), 0o700); err != nil {
					t.Fatal(err)
				}
				if linked {
					link := filepath.Join(filepath.Dir(there), "link")
					if err := os.Symlink(filepath.Join("..", in, "file"), link); err != nil {
						t.Fatal(err)
					}
					paths = []string{link}
				}
				ctx, cancel := context.WithCancel(t.Context())
				told, ended := make(chan string, 100), make(chan error, 1)
				go func() {
					ended <- Watch(ctx, paths, func() {
						content, _ := os.ReadFile(path)
						told <- string(content)
					})
				}()
				receive(t, told, "")
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("one"), 0o600)); err != nil {
					t.Fatal(err)
				}
				receive(t, told, "one")
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		}
	}
}
