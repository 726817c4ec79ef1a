package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// entry is what the index says of a document.
type entry struct {
	// File is the name of the compressed JSON; the Protobuf form has the same
	// name with another extension.
	File string `json:"file"`
	// ETag and ProtobufETag are digests of the uncompressed forms.
	ETag         string `json:"etag"`
	ProtobufETag string `json:"protobufETag"`
	// Size and ProtobufSize are the uncompressed lengths in bytes.
	Size         int `json:"size"`
	ProtobufSize int `json:"protobufSize"`
}

// index is the table of contents of the data directory.
type index struct {
	// Inputs is the digest of what the files were made from.
	Inputs string           `json:"inputs"`
	V2     entry            `json:"v2"`
	V3     map[string]entry `json:"v3"`
}

// Write makes all documents and replaces the contents of dir by them. inputs
// is kept beside them, for the test that notices stale files.
func (g *Generator) Write(dir, inputs string) error {
	v3, err := g.V3()
	if err != nil {
		return err
	}
	v2, err := g.V2()
	if err != nil {
		return err
	}
	merge, err := g.Types(v3)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out := index{Inputs: inputs, V3: map[string]entry{}}
	if out.V2, err = writeDocument(dir, "v2", v2); err != nil {
		return err
	}
	for name, doc := range v3 {
		if out.V3[name], err = writeDocument(dir, "v3-"+strings.ReplaceAll(strings.TrimPrefix(name, "."), "/", "-"), doc); err != nil {
			return err
		}
	}
	if err := writeCompressed(filepath.Join(dir, "types.json.gz"), merge); err != nil {
		return err
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.json"), append(text, '\n'), 0o644)
}

// WriteAside writes the documents of a group that is not always served: its
// OpenAPI v3 document of a name, and what it adds to the OpenAPI v2 document.
func (g *Generator) WriteAside(dir, file, name string) error {
	v3, err := g.V3()
	if err != nil {
		return err
	}
	swagger, err := g.swagger()
	if err != nil {
		return err
	}
	for path := range swagger.Paths.Paths {
		if !strings.HasPrefix(path, "/"+name+"/") {
			delete(swagger.Paths.Paths, path)
		}
	}
	v2, err := json.Marshal(swagger)
	if err != nil {
		return err
	}
	if err := writeCompressed(filepath.Join(dir, "aside-"+file+"-v3.json.gz"), v3[name].JSON); err != nil {
		return err
	}
	return writeCompressed(filepath.Join(dir, "aside-"+file+"-v2.json.gz"), v2)
}

func writeDocument(dir, file string, doc Document) (entry, error) {
	for extension, data := range map[string][]byte{".json.gz": doc.JSON, ".pb.gz": doc.Protobuf} {
		if err := writeCompressed(filepath.Join(dir, file+extension), data); err != nil {
			return entry{}, err
		}
	}
	return entry{
		File: file, ETag: digest(doc.JSON), ProtobufETag: digest(doc.Protobuf),
		Size: len(doc.JSON), ProtobufSize: len(doc.Protobuf),
	}, nil
}

func digest(data []byte) string { return fmt.Sprintf("%X", sha512.Sum512(data)) }

// writeCompressed gives equal bytes for equal data: no names, no times.
func writeCompressed(path string, data []byte) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
