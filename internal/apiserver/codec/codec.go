// Package codec turns objects into bytes and back, in the media types that
// the API serves: JSON, YAML and Kubernetes protobuf.
//
// A Codec is built once from the catalogue and immutable. Encoding never
// changes an object: objects of the cache carry no kind and apiVersion of
// their own, so that the bytes of one encoding serve a list's item, a single
// answer and a watch event alike; what is missing is written in front.
package codec

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
)

// Format is a family of encodings.
type Format uint8

// The formats that are served.
const (
	JSON Format = iota
	YAML
	Protobuf
)

// MediaType is the format's name on the wire.
func (f Format) MediaType() string {
	switch f {
	case YAML:
		return runtime.ContentTypeYAML
	case Protobuf:
		return runtime.ContentTypeProtobuf
	}
	return runtime.ContentTypeJSON
}

// Codec encodes and decodes the catalogue's kinds and the API's own types.
type Codec struct {
	scheme  *runtime.Scheme
	catalog *catalog.Catalog
	decode  map[decoderKey]runtime.Decoder
	options map[decoderKey]runtime.Decoder // of DeleteOptions
	custom  map[decoderKey]runtime.Decoder // of custom resources
	times   times
}

type decoderKey struct {
	format Format
	strict bool
}

// New builds the codec of a catalogue.
func New(c *catalog.Catalog) *Codec {
	s := schemeOf(c)
	return &Codec{scheme: s, catalog: c, decode: decodersOf(s), options: decodersOf(optionsScheme()), custom: customDecoders()}
}

func decodersOf(s *runtime.Scheme) map[decoderKey]runtime.Decoder {
	decoders := map[decoderKey]runtime.Decoder{}
	for _, strict := range []bool{false, true} {
		decoders[decoderKey{JSON, strict}] = json.NewSerializerWithOptions(json.DefaultMetaFactory, s, s,
			json.SerializerOptions{Strict: strict})
		decoders[decoderKey{YAML, strict}] = json.NewSerializerWithOptions(json.DefaultMetaFactory, s, s,
			json.SerializerOptions{Yaml: true, Strict: strict})
		decoders[decoderKey{Protobuf, strict}] = protobuf.NewSerializer(s, s)
	}
	return decoders
}

// optionsScheme knows the options of a deletion in every group and version:
// clients name those of the object that they delete, also where that is a custom
// resource.
func optionsScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	s.AddUnversionedTypes(metav1.SchemeGroupVersion, &metav1.DeleteOptions{})
	metav1.AddToGroupVersion(s, metav1.SchemeGroupVersion)
	return s
}

// Scheme names the Go types of everything that the codec knows. It is not to
// be changed.
func (c *Codec) Scheme() *runtime.Scheme { return c.scheme }

func schemeOf(c *catalog.Catalog) *runtime.Scheme {
	s := runtime.NewScheme()
	for _, g := range c.Groups() {
		for _, v := range g.Versions {
			metav1.AddToGroupVersion(s, schema.GroupVersion{Group: g.Name, Version: v})
		}
	}
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	for _, k := range c.Kinds() {
		s.AddKnownTypeWithName(k.GVK, k.New())
		if k.NewList != nil {
			s.AddKnownTypeWithName(k.GVK.GroupVersion().WithKind(k.GVK.Kind+"List"), k.NewList())
		}
		if rules := k.Main; rules.Default != nil {
			s.AddTypeDefaultingFunc(k.New(), func(obj any) { rules.Default(obj.(api.Object)) })
		}
	}
	s.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.List{})
	addSubresourceTypes(s)
	return s
}

// addSubresourceTypes names the bodies of subresources that are no kinds of
// their own; the catalogue may have named them already.
func addSubresourceTypes(s *runtime.Scheme) {
	for gvk, obj := range map[schema.GroupVersionKind]runtime.Object{
		autoscalingv1.SchemeGroupVersion.WithKind("Scale"):           &autoscalingv1.Scale{},
		policyv1.SchemeGroupVersion.WithKind("Eviction"):             &policyv1.Eviction{},
		authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"): &authenticationv1.TokenRequest{},
	} {
		if !s.Recognizes(gvk) {
			s.AddKnownTypeWithName(gvk, obj)
		}
	}
}
