package snapshots

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kinds are the types of members that a layer may have, by the letter in a script.
var kinds = map[byte]byte{'f': tar.TypeReg, 'd': tar.TypeDir, 's': tar.TypeSymlink, 'h': tar.TypeLink, 'c': tar.TypeChar, 'b': tar.TypeBlock, 'p': tar.TypeFifo, 'x': tar.TypeXGlobalHeader}

// layer makes a tar of a script: one member a line, a letter of kinds, its
// name, and behind a | its content or what it links to.
func layer(script string) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for line := range strings.SplitSeq(script, "\n") {
		if len(line) < 2 || kinds[line[0]] == 0 {
			continue
		}
		name, rest, _ := strings.Cut(line[1:], "|")
		h := &tar.Header{Name: name, Typeflag: kinds[line[0]], Mode: 0o755, Format: tar.FormatPAX}
		switch h.Typeflag {
		case tar.TypeReg:
			h.Size = int64(len(rest))
		case tar.TypeSymlink, tar.TypeLink:
			h.Linkname = rest
		case tar.TypeXGlobalHeader:
			h.PAXRecords, h.Name, h.Mode = map[string]string{"path": rest}, "", 0
		}
		if w.WriteHeader(h) == nil && h.Typeflag == tar.TypeReg {
			_, _ = w.Write([]byte(rest))
		}
	}
	_ = w.Close()
	return buf.Bytes()
}

// outside is what a layer must not touch: files beside the store.
func outside(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == filepath.Join(dir, "store") {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&out, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// FuzzUnpack unpacks layers of strangers, as scripts and as bytes, upon a
// lower one: none may reach outside its folder, or leave half of itself.
func FuzzUnpack(f *testing.F) {
	for _, script := range []string{
		"fa|x", "dd\nfd/f|x\nfd/.wh.f\nfd/.wh..wh..opq", "f../../../keep|x", "sl|../../..\nfl/keep|x", "sl|/\nfl/x|y", "hh|../../keep",
		"hh|/etc/passwd", "f/.wh.keep", "f../.wh.keep", "f../../.wh..wh..opq", "sd|..\nd./d\nfd/../keep|x", "cnull\nbdisk\npfifo", "x|path=../../keep",
		"sa|b\nsb|a\nfa/x|y", "fbase/own|x", "flink/x|y", "f.wh.base",
	} {
		f.Add(script, []byte(nil))
	}
	f.Add("", []byte{0x1f, 0x8b, 8, 0})
	f.Add("", []byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Add("", layer("fa|x")[:700])
	f.Fuzz(func(t *testing.T, script string, raw []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "keep"), []byte("kept"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(filepath.Join(dir, "store"), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		unpack := func(data []byte, below []string) (string, error) {
			plain := data
			if r, err := Decompress(bytes.NewReader(data)); err == nil {
				plain, _ = io.ReadAll(io.LimitReader(r, 2<<20))
				_ = r.Close()
			}
			sum := sha256.Sum256(plain)
			diff := "sha256:" + hex.EncodeToString(sum[:])
			chain := ChainIDs([]string{diff})[0]
			if len(below) > 0 {
				chain = ChainIDs([]string{below[0], diff})[1]
			}
			_, err := s.Unpack(t.Context(), Layer{ChainID: chain, DiffID: diff, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}, below)
			return chain, err
		}
		base, err := unpack(layer("dbase\nfbase/own|1\nslink|../../.."), nil)
		if err != nil {
			t.Fatal(err)
		}
		before := outside(t, dir)
		if raw == nil {
			raw = layer(script)
		}
		chain, err := unpack(raw, []string{base})
		if after := outside(t, dir); after != before {
			t.Fatalf("the layer reached outside:\nbefore\n%safter\n%s", before, after)
		}
		if s.Has(chain) != (err == nil) && chain != base {
			t.Fatalf("unpacked: %v, but %v", s.Has(chain), err)
		}
		entries, err := os.ReadDir(filepath.Join(dir, "store"))
		if err != nil || len(entries) > 2 {
			t.Fatalf("half a layer is left: %v, %v", entries, err)
		}
	})
}
