package blobs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func from(data []byte, breaks int) func(int64) (io.ReadCloser, int64, error) {
	return func(at int64) (io.ReadCloser, int64, error) {
		rest := data[at:]
		if breaks > 0 && breaks < len(rest) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(rest[:breaks]), broken{})), at, nil
		}
		return io.NopCloser(bytes.NewReader(rest)), at, nil
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestResumeOutlivesTheProcess(t *testing.T) {
	dir, data := t.TempDir(), bytes.Repeat([]byte("layer"), 1000)
	digest := Digest(data)
	for attempt := range 3 {
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Resume(digest, int64(len(data)), from(data, 2000))
		if last := attempt == 2; (err == nil) != last {
			t.Fatalf("attempt %d: %v", attempt, err)
		}
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(digest, 1<<20); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, "ingest", "*")); len(parts) != 0 {
		t.Errorf("left: %v", parts)
	}
}

func TestResumeRefusesWhatIsWrong(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("right")
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"other":  {[]byte("wrong"), ErrDigest},
		"longer": {[]byte("right and more"), ErrTooLarge},
		"short":  {[]byte("ri"), io.ErrUnexpectedEOF},
	} {
		if err := s.Resume(Digest(data), 5, from(tc.data, 0)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Resume(Digest(data), 5, from(data, 0)); err != nil {
		t.Errorf("the right one after wrong ones: %v", err)
	}
	if err := s.Resume(Digest(nil), 0, from(nil, 0)); err != nil {
		t.Errorf("an empty one: %v", err)
	}
}

func TestOldPartsGo(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(dir, "ingest", partPrefix+"old"), filepath.Join(dir, "ingest", partPrefix+"fresh")
	for _, p := range []string{old, fresh} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now().Add(-2 * partAge)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	if err := s.Abandon(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("an old part stays: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error(err)
	}
}
