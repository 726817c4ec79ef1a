// Package openapi serves the OpenAPI documents of the API, and knows the merge
// types that server-side apply needs.
//
// The documents are data: tools/gen makes them, compressed, and they stay
// compressed in the binary. An answer is decompressed into the connection, or
// sent as it is to clients that take gzip; nothing is kept in memory. Merge
// types are read when the first write needs them and shared from then on. What
// custom resources and aggregated servers add (SetExtra) is built when it is
// asked for. Documents is safe for concurrent use.
package openapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/knarr-io/knarr/internal/apiserver/openapi/types"
)

//go:embed data
var data embed.FS

// Documents are the OpenAPI documents of the built-in API.
type Documents struct {
	contents index
	types    func() (types.Set, error)
	extra    atomic.Pointer[extras]
	merged   merged

	mu      sync.Mutex
	sources map[string][]Extra // guarded by mu
}

// index is the table of contents that the generator wrote.
type index struct {
	Inputs string           `json:"inputs"`
	V2     entry            `json:"v2"`
	V3     map[string]entry `json:"v3"`
}

type entry struct {
	File         string `json:"file"`
	ETag         string `json:"etag"`
	ProtobufETag string `json:"protobufETag"`
	Size         int    `json:"size"`
	ProtobufSize int    `json:"protobufSize"`
}

// New opens the embedded documents. It reads the table of contents only.
func New() (*Documents, error) {
	raw, err := data.ReadFile("data/index.json")
	if err != nil {
		return nil, err
	}
	d := &Documents{types: sync.OnceValues(loadTypes), sources: map[string][]Extra{}, merged: merged{kept: map[string]keptDocument{}}}
	if err := json.Unmarshal(raw, &d.contents); err != nil {
		return nil, fmt.Errorf("reading the index of OpenAPI documents: %w", err)
	}
	return d, d.SetExtra("", nil)
}

// Inputs is the digest of what the documents were generated from.
func (d *Documents) Inputs() string { return d.contents.Inputs }

// Names are the OpenAPI v3 documents, such as "apis/apps/v1", in order.
func (d *Documents) Names() []string { return slices.Sorted(maps.Keys(d.contents.V3)) }

// marshalV3Index makes the answer of /openapi/v3: a URL for each document that
// changes whenever the document does.
func marshalV3Index(documents map[string]entry) ([]byte, error) {
	type location struct {
		URL string `json:"serverRelativeURL"`
	}
	paths := make(map[string]location, len(documents))
	for name, e := range documents {
		paths[name] = location{urlOf(name, e.ETag)}
	}
	return json.Marshal(map[string]any{"paths": paths})
}

func urlOf(name, etag string) string { return "/openapi/v3/" + name + "?hash=" + etag }
