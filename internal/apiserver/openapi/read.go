package openapi

import (
	"bytes"
	"compress/gzip"
	"io"

	"github.com/knarr-io/knarr/internal/apiserver/openapi/types"
)

// Read gives an OpenAPI v3 document as JSON; false where there is none of
// that name.
func (d *Documents) Read(name string) ([]byte, bool, error) {
	e, ok := d.contents.V3[name]
	if !ok {
		return nil, false, nil
	}
	out, err := decompress(e.File + ".json.gz")
	return out, true, err
}

// ReadV2 gives the OpenAPI v2 document as JSON.
func (d *Documents) ReadV2() ([]byte, error) { return decompress(d.contents.V2.File + ".json.gz") }

func decompress(file string) ([]byte, error) {
	r, err := open(file)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// open reads the uncompressed content of an embedded file.
func open(file string) (io.Reader, error) {
	compressed, err := data.ReadFile("data/" + file)
	if err != nil {
		return nil, err
	}
	return gzip.NewReader(bytes.NewReader(compressed))
}

func loadTypes() (types.Set, error) {
	raw, err := decompress("types.json.gz")
	if err != nil {
		return types.Set{}, err
	}
	return types.Unmarshal(raw)
}
