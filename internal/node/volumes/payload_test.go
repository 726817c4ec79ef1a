package volumes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// read gives what a container would see: names and contents, without the
// names that belong to the switching.
func read(t interface{ Fatal(...any) }, dir string) map[string]string {
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if len(e.Name()) > 1 && e.Name()[:2] == ".." {
			continue
		}
		top, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(top, path)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			out[filepath.Join(e.Name(), rel)] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestWriteShowsThePayload writes random payloads one after another: what is
// there is always exactly the last.
func TestWriteShowsThePayload(t *testing.T) {
	base := t.TempDir()
	property.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "writes") {
			names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c/d", "c/e", "f/g/h"}), 0, 5, rapid.ID[string]).Draw(t, "names")
			payload, want := Payload{}, map[string]string{}
			for _, name := range names {
				text := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "text")
				payload[name] = File{Data: []byte(text), Mode: 0o644}
				want[name] = text
			}
			if err := write(dir, payload, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, read(t, dir)); diff != "" {
				t.Fatalf("-want +got\n%s", diff)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			folders := 0
			for _, e := range entries {
				if e.IsDir() {
					folders++
				}
			}
			if folders != 1 {
				t.Fatalf("%d data folders are there", folders)
			}
		}
	})
}

func TestWriteLeavesAnUnchangedPayloadAlone(t *testing.T) {
	dir := t.TempDir()
	p := Payload{"a": {Data: []byte("x"), Mode: 0o600}}
	if err := write(dir, p, nil); err != nil {
		t.Fatal(err)
	}
	before, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(dir, p, nil); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Readlink(filepath.Join(dir, dataLink)); after != before {
		t.Errorf("written anew: %s, then %s", before, after)
	}
	info, err := os.Stat(filepath.Join(dir, "a"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// An agent that dies once the data is there has not set all links yet.
func TestWriteCompletesWhatWasCutOff(t *testing.T) {
	dir := t.TempDir()
	p := Payload{"a": {Data: []byte("x"), Mode: 0o644}, "b/c": {Data: []byte("y"), Mode: 0o644}}
	if err := write(dir, p, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "b")), os.Symlink(filepath.Join(dataLink, "a"), filepath.Join(dir, "old"))); err != nil {
		t.Fatal(err)
	}
	if err := write(dir, p, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "x", "b/c": "y"}, read(t, dir)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestWriteRefusesNamesThatLeave(t *testing.T) {
	for _, name := range []string{"../x", "/etc/passwd", "a/../../x", "..data/x"} {
		dir := t.TempDir()
		if err := write(dir, Payload{name: {Data: []byte("x")}}, nil); err == nil {
			t.Errorf("%q was written", name)
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(dir), "x")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q has left its volume", name)
		}
	}
}
