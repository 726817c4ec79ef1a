package snapshots

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstandard(t *testing.T, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// greedy is an empty zstd frame that wants a window of 1 GiB (RFC 8878).
var greedy = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00}

// A layer is what its first bytes say, whatever its manifest calls it.
func TestDecompress(t *testing.T) {
	plain := bytes.Repeat([]byte("a line of a file\n"), 5000)
	squeezed := gzipped(t, plain)
	for name, c := range map[string]struct {
		data []byte
		want []byte
		ok   bool
	}{
		"plain":                        {plain, plain, true},
		"empty":                        {nil, nil, true},
		"gzip":                         {squeezed, plain, true},
		"gzip in two parts":            {append(gzipped(t, plain[:100]), gzipped(t, plain[100:])...), plain, true},
		"zstd":                         {zstandard(t, plain), plain, true},
		"gzip, cut short":              {squeezed[:len(squeezed)-9], nil, false},
		"zstd, cut short":              {zstandard(t, plain)[:20], nil, false},
		"zstd with too large a window": {greedy, nil, false},
	} {
		r, err := Decompress(bytes.NewReader(c.data))
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
			if cerr := r.Close(); err == nil {
				err = cerr
			}
		}
		if (err == nil) != c.ok || c.ok && !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
