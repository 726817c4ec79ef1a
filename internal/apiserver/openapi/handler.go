package openapi

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ServeHTTP answers /openapi/v2, /openapi/v3 and the documents below it.
func (d *Documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "405: Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch {
	case path == "/openapi/v2":
		d.serveV2(w, r)
	case path == "/openapi/v3":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8") // JSON, but upstream says so
		writeBody(w, r, d.extra.Load().v3Index)
	case strings.HasPrefix(path, "/openapi/v3/"):
		d.serveV3(w, r, strings.TrimPrefix(path, "/openapi/v3/"))
	default:
		http.NotFound(w, r)
	}
}

func (d *Documents) serveV2(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept-Encoding")
	w.Header().Add("Vary", "Accept")
	f, ok := choose(r.Header.Get("Accept"), "v2")
	if !ok {
		w.WriteHeader(http.StatusNotAcceptable)
		return
	}
	x := d.extra.Load()
	if x.tag == "" {
		serve(w, r, d.contents.V2.in(f), takesGzip(r))
		return
	}
	d.serveMerged(w, r, x, f)
}

func (d *Documents) serveV3(w http.ResponseWriter, r *http.Request, name string) {
	e, builtin := d.contents.V3[name]
	more, isExtra := d.extra.Load().byName[name]
	if !builtin && !isExtra {
		http.NotFound(w, r)
		return
	}
	if !builtin {
		e = entry{ETag: more.Tag, ProtobufETag: more.Tag}
	}
	w.Header().Set("Vary", "Accept")
	f, ok := choose(r.Header.Get("Accept"), "v3")
	if !ok {
		w.WriteHeader(http.StatusNotAcceptable)
		return
	}
	doc := e.in(f)
	if hash := r.URL.Query().Get("hash"); hash != "" {
		if hash != doc.etag {
			http.Redirect(w, r, urlOf(name, doc.etag), http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	if !builtin {
		build(w, r, f, doc.etag, func() ([]byte, error) { return more.extraV3(f) })
		return
	}
	serve(w, r, doc, false)
}

// build answers with a document that is made for the request.
func build(w http.ResponseWriter, r *http.Request, f format, tag string, make func() ([]byte, error)) {
	etag := strconv.Quote(tag)
	w.Header().Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := make()
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", f.contentType)
	writeBody(w, r, body)
}

// document is one encoding of a document.
type document struct {
	file, contentType, etag string
	size                    int
}

func (e entry) in(f format) document {
	if f.protobuf {
		return document{e.File + ".pb.gz", f.contentType, e.ProtobufETag, e.ProtobufSize}
	}
	return document{e.File + ".json.gz", f.contentType, e.ETag, e.Size}
}

func serve(w http.ResponseWriter, r *http.Request, doc document, compressed bool) {
	etag := strconv.Quote(doc.etag)
	w.Header().Set("Content-Type", doc.contentType)
	w.Header().Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if compressed {
		body, err := data.ReadFile("data/" + doc.file)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		writeBody(w, r, body)
		return
	}
	body, err := open(doc.file)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(doc.size))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, body) // a client that went away is no error of ours
	}
}

func fail(w http.ResponseWriter, err error) {
	w.Header().Del("ETag")
	http.Error(w, fmt.Sprintf("reading OpenAPI document: %v", err), http.StatusInternalServerError)
}

func writeBody(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// matches tells whether an If-None-Match header names the tag.
func matches(header, etag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == etag {
			return true
		}
	}
	return false
}

func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(coding) == "gzip" {
			return strings.ReplaceAll(params, " ", "") != "q=0"
		}
	}
	return false
}
