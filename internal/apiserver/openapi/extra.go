package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Extra is a document that comes on top of the built-in ones. Its functions
// build it anew whenever it is asked for; of what they give only the joined
// OpenAPI v2 document is kept, compressed.
type Extra struct {
	// Name of the OpenAPI v3 document, such as "apis/example.com/v1".
	Name string
	// Tag changes whenever the document does.
	Tag string
	V3  func() (*spec3.OpenAPI, error)
	// V2 gives the paths and definitions that join the one OpenAPI v2 document.
	V2 func() (*spec.Swagger, error)
}

// extras are the documents of all sources, immutable.
type extras struct {
	byName  map[string]Extra
	order   []string
	v3Index []byte
	// tag is that of the OpenAPI v2 document's additions; empty without any.
	tag string
}

// SetExtra replaces the documents of a source (custom resources, aggregated
// servers). Of two with one name the source that comes first by name counts.
func (d *Documents) SetExtra(source string, documents []Extra) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sources[source] = documents
	next := &extras{byName: map[string]Extra{}}
	for _, name := range slices.Sorted(maps.Keys(d.sources)) {
		for _, e := range d.sources[name] {
			if _, taken := next.byName[e.Name]; !taken {
				next.byName[e.Name] = e
			}
		}
	}
	next.order = slices.Sorted(maps.Keys(next.byName))
	all := maps.Clone(d.contents.V3)
	h := sha512.New()
	for _, name := range next.order {
		e := next.byName[name]
		fmt.Fprintln(h, name, e.Tag)
		if _, builtin := all[name]; !builtin {
			all[name] = entry{ETag: e.Tag}
		}
	}
	if len(next.order) > 0 {
		next.tag = fmt.Sprintf("%X", h.Sum(nil))
	}
	var err error
	if next.v3Index, err = marshalV3Index(all); err != nil {
		return err
	}
	d.extra.Store(next)
	d.merged.forget()
	return nil
}

// extraV3 builds a v3 document in an encoding.
func (e Extra) extraV3(f format) ([]byte, error) {
	doc, err := e.V3()
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(doc)
	if err != nil || !f.protobuf {
		return raw, err
	}
	parsed, err := openapiv3.ParseDocument(raw)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(parsed)
}

// mergedV2 is the OpenAPI v2 document with the additions of all extras.
func (d *Documents) mergedV2(x *extras, f format) ([]byte, error) {
	sum := &spec.Swagger{SwaggerProps: spec.SwaggerProps{Paths: &spec.Paths{Paths: map[string]spec.PathItem{}}, Definitions: spec.Definitions{}}}
	for _, name := range x.order {
		e := x.byName[name]
		if e.V2 == nil {
			continue
		}
		doc, err := e.V2()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		maps.Copy(sum.Paths.Paths, doc.Paths.Paths)
		maps.Copy(sum.Definitions, doc.Definitions)
	}
	if f.protobuf {
		return d.joinProtobuf(sum)
	}
	return d.joinJSON(sum)
}

// joinProtobuf appends the additions: decoders merge messages that follow each
// other, and the lists within them.
func (d *Documents) joinProtobuf(sum *spec.Swagger) ([]byte, error) {
	sum.Swagger = "2.0"
	sum.Info = &spec.Info{InfoProps: spec.InfoProps{Title: "Kubernetes", Version: "v0"}}
	known, err := d.builtinDefinitions()
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(sum.Definitions, func(name string, _ spec.Schema) bool { return known[name] })
	raw, err := sum.MarshalJSON()
	if err != nil {
		return nil, err
	}
	parsed, err := openapiv2.ParseDocument(raw)
	if err != nil {
		return nil, err
	}
	parsed.Swagger, parsed.Info = "", nil
	more, err := proto.MarshalOptions{Deterministic: true}.Marshal(parsed)
	if err != nil {
		return nil, err
	}
	base, err := decompress(d.contents.V2.File + ".pb.gz")
	return append(base, more...), err
}

// builtinDefinitions are the names in the built-in document.
func (d *Documents) builtinDefinitions() (map[string]bool, error) {
	base, err := d.ReadV2()
	if err != nil {
		return nil, err
	}
	var doc struct {
		Definitions map[string]json.RawMessage `json:"definitions"`
	}
	if err := json.Unmarshal(base, &doc); err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(doc.Definitions))
	for name := range doc.Definitions {
		out[name] = true
	}
	return out, nil
}

// joinJSON puts the additions into the two objects that they belong to.
func (d *Documents) joinJSON(sum *spec.Swagger) ([]byte, error) {
	base, err := d.ReadV2()
	if err != nil {
		return nil, err
	}
	doc := map[string]json.RawMessage{}
	if err := json.Unmarshal(base, &doc); err != nil {
		return nil, err
	}
	if doc["paths"], err = join(doc["paths"], sum.Paths.Paths); err != nil {
		return nil, err
	}
	if doc["definitions"], err = join(doc["definitions"], sum.Definitions); err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

func join[T any](object json.RawMessage, more map[string]T) (json.RawMessage, error) {
	have := map[string]json.RawMessage{}
	if err := json.Unmarshal(object, &have); err != nil {
		return nil, err
	}
	for name, value := range more {
		if _, taken := have[name]; taken {
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		have[name] = raw
	}
	return json.Marshal(have)
}

// compress is for clients that take gzip.
func compress(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, bytes.NewReader(body)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Documents that hold, beside others, the types that every API has, and Scale.
const metaDocument, scaleDocument = "apis/scheduling.k8s.io/v1", "apis/apps/v1"

// MetaTypes are the schemas of the API's own types (metadata, options, status),
// and of Scale if asked for, by name. Each call makes them anew: the caller may
// change them.
func (d *Documents) MetaTypes(scale bool) (map[string]*spec.Schema, error) {
	out := map[string]*spec.Schema{}
	if err := d.collect(out, metaDocument, "io.k8s.apimachinery."); err != nil {
		return nil, err
	}
	if scale {
		return out, d.collect(out, scaleDocument, "io.k8s.api.autoscaling.v1.Scale")
	}
	return out, nil
}

func (d *Documents) collect(into map[string]*spec.Schema, document, prefix string) error {
	raw, _, err := d.Read(document)
	if err != nil {
		return err
	}
	var doc spec3.OpenAPI
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	for name, s := range doc.Components.Schemas {
		if strings.HasPrefix(name, prefix) {
			into[name] = s
		}
	}
	return nil
}
