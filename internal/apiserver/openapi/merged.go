package openapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// merged keeps the joined OpenAPI v2 documents, compressed, one for each
// encoding: joining decodes and encodes all of the built-in one. Who asks for
// the same meanwhile waits for whoever makes it.
type merged struct {
	mu   sync.Mutex
	kept map[string]keptDocument // by content type, guarded by mu
}

type keptDocument struct {
	tag  string
	body []byte // gzip
}

// get gives the document of a tag, made at most once as long as it is the
// newest of its content type.
func (m *merged) get(contentType, tag string, make func() ([]byte, error)) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if have, ok := m.kept[contentType]; ok && have.tag == tag {
		return have.body, nil
	}
	body, err := make()
	if err != nil {
		return nil, err
	}
	if body, err = compress(body); err != nil {
		return nil, err
	}
	m.kept[contentType] = keptDocument{tag, body}
	return body, nil
}

// forget drops the documents: their additions have changed.
func (m *merged) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = map[string]keptDocument{}
}

// serveMerged answers with the built-in document and the additions of x.
func (d *Documents) serveMerged(w http.ResponseWriter, r *http.Request, x *extras, f format) {
	tag := d.contents.V2.in(f).etag + "-" + x.tag
	etag := strconv.Quote(tag)
	w.Header().Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := d.merged.get(f.contentType, tag, func() ([]byte, error) { return d.mergedV2(x, f) })
	if err == nil && !takesGzip(r) {
		body, err = expand(body)
	}
	if err != nil {
		fail(w, err)
		return
	}
	if takesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Type", f.contentType)
	writeBody(w, r, body)
}

func expand(compressed []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}
