package snapfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/store"
)

func sample(n int) []Record {
	out := make([]Record, n)
	for i := range out {
		out[i] = Record{Record: store.Record{
			Key: fmt.Sprintf("/k%05d", i), Value: []byte(strings.Repeat("v", i%2000)), Modified: store.Revision(i + 1),
		}}
		if i%3 == 0 {
			out[i].Expiry = time.Unix(0, int64(i)*1e9+1)
		}
	}
	return out
}

func encode(t testing.TB, records []Record) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewWriter(&buf, store.Revision(len(records)), time.Unix(5, 6))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func decode(data []byte) ([]Record, error) {
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var out []Record
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		rec.Value = bytes.Clone(rec.Value)
		out = append(out, rec)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 1000} { // 1,000 records fill several frames
		want := sample(n)
		got, err := decode(encode(t, want))
		if err != nil || len(got) != n {
			t.Fatalf("%d records: read %d, %v", n, len(got), err)
		}
		for i := range got {
			if diff := cmp.Diff(string(want[i].Value), string(got[i].Value)); diff != "" || got[i].Key != want[i].Key ||
				got[i].Modified != want[i].Modified || !got[i].Expiry.Equal(want[i].Expiry) {
				t.Fatalf("record %d = %+v, want %+v", i, got[i], want[i])
			}
		}
	}
}

func TestHeader(t *testing.T) {
	r, err := NewReader(bytes.NewReader(encode(t, sample(3))))
	if err != nil || r.Revision != 3 || !r.Time.Equal(time.Unix(5, 6)) {
		t.Errorf("header: revision %d, time %s, %v", r.Revision, r.Time, err)
	}
}

// TestDamage changes and cuts a file at every place.
func TestDamage(t *testing.T) {
	whole := encode(t, sample(20))
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 0x10
		for name, data := range map[string][]byte{"changed": changed, "cut": whole[:i]} {
			if _, err := decode(data); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s at byte %d of %d: %v, want ErrCorrupt", name, i, len(whole), err)
			}
		}
	}
}

func TestKeysMustAscend(t *testing.T) {
	w, err := NewWriter(io.Discard, 9, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"/b", "/b", "/a"} {
		err = w.Write(Record{Record: store.Record{Key: key, Modified: 1}})
	}
	if err == nil {
		t.Error("keys out of order were written")
	}
}

func TestWriteErrorsAreReported(t *testing.T) {
	broken := errors.New("broken")
	w, err := NewWriter(brokenWriter{broken}, 1, time.Now())
	if err == nil {
		err = w.Close()
	}
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

func FuzzReader(f *testing.F) {
	f.Add(encode(f, sample(5)))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := decode(data); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("error %v, want ErrCorrupt", err)
		}
	})
}
