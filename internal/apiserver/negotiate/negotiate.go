// Package negotiate settles in which form an answer goes out and a body came
// in: the Accept and Content-Type headers of the API, with the transformations
// to tables and bare metadata that Accept may ask for.
//
// It is pure. The rules are those of the Kubernetes API: the first clause of
// Accept, by quality, that can be served counts.
package negotiate

import (
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/munnerz/goautoneg"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

// Target is what an object is turned into before it is encoded.
type Target uint8

// The targets.
const (
	Whole Target = iota
	Table
	Metadata
	MetadataList
)

// Answer is the settled form of an answer.
type Answer struct {
	Format codec.Format
	Target Target
	Pretty bool
	// Stream tells that the client named the watch form itself.
	Stream bool
}

const (
	offered       = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
	offeredStream = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
)

// Accept settles the answer's form from an Accept header. stream asks for one
// in which a watch can be sent; tables tells whether the kind has a Table form,
// which what is only answered and never stored has not.
func Accept(header string, stream, tables bool) (Answer, error) {
	if header == "" {
		return Answer{}, nil
	}
	if len(header) > limits.Accept {
		return Answer{}, notAcceptable(stream)
	}
	for _, clause := range goautoneg.ParseAccept(header) {
		for _, f := range []codec.Format{codec.JSON, codec.YAML, codec.Protobuf} {
			if !matches(clause, f) || (stream && f == codec.YAML) {
				continue
			}
			if a, ok := withParams(clause.Params, f, tables); ok {
				return a, nil
			}
		}
	}
	return Answer{}, notAcceptable(stream)
}

func matches(clause goautoneg.Accept, f codec.Format) bool {
	kind, sub, _ := strings.Cut(f.MediaType(), "/")
	return (clause.Type == kind || clause.Type == "*") && (clause.SubType == sub || clause.SubType == "*")
}

func withParams(params map[string]string, f codec.Format, tables bool) (Answer, bool) {
	a := Answer{Format: f}
	as, asks := params["as"]
	for name, value := range params {
		switch name {
		case "stream":
			if value != "" && (value != "watch" || f == codec.YAML) {
				return a, false
			}
			a.Stream = value != ""
		case "pretty":
			a.Pretty = value == "1"
		case "g", "v":
			asks = true
		}
	}
	if !asks {
		return a, true
	}
	if params["g"] != metav1.GroupName || params["v"] != "v1" {
		return a, false
	}
	switch as {
	case "Table":
		a.Target = Table
		return a, tables && f != codec.Protobuf
	case "PartialObjectMetadata":
		a.Target = Metadata
	case "PartialObjectMetadataList":
		a.Target = MetadataList
	default:
		return a, false
	}
	return a, true
}

func notAcceptable(stream bool) error {
	list := offered + ", " + offeredStream
	if stream {
		list = offeredStream
	}
	return &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
		Message: "406: Not Acceptable\n\nAvailable representations: " + list, Details: &metav1.StatusDetails{},
	}}
}

// Body settles a body's format from its Content-Type; none is JSON.
func Body(header string) (codec.Format, error) {
	if header == "" {
		return codec.JSON, nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err == nil {
		for _, f := range []codec.Format{codec.JSON, codec.YAML, codec.Protobuf} {
			if media == f.MediaType() {
				return f, nil
			}
		}
	}
	return 0, &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s", offered),
	}}
}

// Pretty tells whether JSON is to be indented: asked for, or read by a person.
func Pretty(param, userAgent string) bool {
	switch strings.ToLower(param) {
	case "":
		for _, prefix := range []string{"curl", "Wget", "Mozilla/5.0"} {
			if strings.HasPrefix(userAgent, prefix) {
				return true
			}
		}
		return false
	case "0", "false":
		return false
	}
	return true
}
