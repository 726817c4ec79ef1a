package openapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

// The types in the tree are those of the documents in the tree, byte for byte:
// who generates them anew changes nothing.
func TestTypesAreThoseOfTheDocuments(t *testing.T) {
	data := filepath.Join("..", "..", "..", "internal", "apiserver", "openapi", "data")
	text, err := os.ReadFile(filepath.Join(data, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var contents index
	if err := json.Unmarshal(text, &contents); err != nil {
		t.Fatal(err)
	}
	documents := map[string]Document{}
	for name, e := range contents.V3 {
		documents[name] = Document{JSON: unpacked(t, filepath.Join(data, e.File+".json.gz"))}
	}
	got, err := New(catalog.New(), nil, "").Types(documents)
	if err != nil {
		t.Fatal(err)
	}
	if want := unpacked(t, filepath.Join(data, "types.json.gz")); !bytes.Equal(got, want) {
		t.Errorf("the documents make types of %d bytes, other than the %d of types.json.gz: run make generate", len(got), len(want))
	}
}

func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
