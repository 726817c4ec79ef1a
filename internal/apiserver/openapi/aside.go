package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/json"
	"fmt"

	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Metrics is the document of metrics.k8s.io/v1beta1, for who serves it.
func Metrics() (Extra, error) { return aside("metrics", "apis/metrics.k8s.io/v1beta1") }

// aside is a document that the generator wrote beside those of the built-in
// kinds.
func aside(file, name string) (Extra, error) {
	v3, err := data.ReadFile("data/aside-" + file + "-v3.json.gz")
	if err != nil {
		return Extra{}, err
	}
	v2, err := data.ReadFile("data/aside-" + file + "-v2.json.gz")
	if err != nil {
		return Extra{}, err
	}
	return Extra{
		Name: name, Tag: fmt.Sprintf("%X", sha512.Sum512(v3)),
		V3: func() (*spec3.OpenAPI, error) {
			out := &spec3.OpenAPI{}
			return out, unpack(v3, out)
		},
		V2: func() (*spec.Swagger, error) {
			out := &spec.Swagger{}
			return out, unpack(v2, out)
		},
	}, nil
}

func unpack(compressed []byte, into any) error {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return err
	}
	return json.NewDecoder(r).Decode(into)
}
