package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
)

const (
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
	mediaJSON     = "application/json"
)

// protobufMagic begins every Kubernetes protobuf envelope.
func protobufMagic() []byte { return []byte{'k', '8', 's', 0} }

// message is what generated API types can do.
type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// body is a request's body as it travels.
type body struct {
	contentType string
	body        []byte
}

func accepts(req *request.Request) string {
	if _, ok := req.Kind.New().(message); !ok {
		return mediaJSON
	}
	if req.Verb == request.Watch {
		return mediaProtobuf + ";stream=watch," + mediaProtobuf + "," + mediaJSON
	}
	return mediaProtobuf + "," + mediaJSON
}

func encodeBody(req *request.Request) (body, error) {
	switch req.Verb {
	case request.Patch:
		return body{contentType: string(req.PatchType), body: req.Body}, nil
	case request.Delete, request.DeleteCollection:
		opts := req.DeleteOptions
		opts.APIVersion, opts.Kind = "v1", "DeleteOptions"
		data, err := json.Marshal(opts)
		return body{contentType: mediaJSON, body: data}, err
	case request.Create, request.Update:
		return encodeObject(req)
	default:
		return body{}, nil
	}
}

func encodeObject(req *request.Request) (body, error) {
	gvk := bodyKind(req)
	if m, ok := req.Object.(message); ok {
		raw, err := m.Marshal()
		if err != nil {
			return body{}, fmt.Errorf("encoding %s: %w", gvk.Kind, err)
		}
		apiVersion, kind := gvk.ToAPIVersionAndKind()
		unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: raw}
		data, err := unknown.Marshal()
		if err != nil {
			return body{}, fmt.Errorf("encoding %s: %w", gvk.Kind, err)
		}
		return body{contentType: mediaProtobuf, body: append(protobufMagic(), data...)}, nil
	}
	obj := req.Object.DeepCopyObject()
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	data, err := json.Marshal(obj)
	if err != nil {
		return body{}, fmt.Errorf("encoding %s: %w", gvk.Kind, err)
	}
	return body{contentType: mediaJSON, body: data}, nil
}

// bodyKind is the kind that the endpoint takes: the resource's own, or its
// subresource's.
func bodyKind(req *request.Request) schema.GroupVersionKind {
	for _, sub := range req.Kind.Subresources {
		if sub.Name == req.Subresource && sub.GVK.Kind != "" {
			return sub.GVK
		}
	}
	return req.Kind.GVK
}

// decodeAnswer reads the answer to a request: an object of the kind, a list,
// an object of the subresource, or a Status.
func decodeAnswer(req *request.Request, contentType string, data []byte, c *catalog.Catalog) (runtime.Object, error) {
	typ, raw, err := open(contentType, data)
	if err != nil {
		return nil, err
	}
	gvk := schema.FromAPIVersionAndKind(typ.APIVersion, typ.Kind)
	switch {
	case gvk.Kind == "Status" && gvk.Group == "":
		return decodeInto(contentType, raw, &metav1.Status{})
	case req.Verb == request.List || req.Verb == request.DeleteCollection:
		list, err := decodeInto(contentType, raw, req.Kind.NewList())
		if err != nil {
			return nil, err
		}
		return spread(list)
	case gvk == req.Kind.GVK || gvk.Kind == "":
		return decodeInto(contentType, raw, req.Kind.New())
	}
	if k := c.Kind(gvk); k != nil {
		return decodeInto(contentType, raw, k.New())
	}
	if req.Object != nil { // an action gives back the type that it took
		into := reflect.New(reflect.TypeOf(req.Object).Elem()).Interface().(runtime.Object)
		return decodeInto(contentType, raw, into)
	}
	return nil, fmt.Errorf("the server answered %s %s with an object of kind %s", req.Verb, req.Kind.Resource, gvk)
}

func decodeStatus(contentType string, data []byte) (*metav1.Status, error) {
	typ, raw, err := open(contentType, data)
	if err != nil {
		return nil, err
	}
	if typ.Kind != "Status" {
		return nil, fmt.Errorf("not a Status but %q", typ.Kind)
	}
	status := &metav1.Status{}
	_, err = decodeInto(contentType, raw, status)
	return status, err
}

// open takes the envelope off a body and tells what is inside.
func open(contentType string, data []byte) (runtime.TypeMeta, []byte, error) {
	if !isProtobuf(contentType) {
		var typ runtime.TypeMeta
		if err := json.Unmarshal(data, &typ); err != nil {
			return typ, nil, fmt.Errorf("the answer is no JSON object: %w", err)
		}
		return typ, data, nil
	}
	rest, ok := bytes.CutPrefix(data, protobufMagic())
	if !ok {
		return runtime.TypeMeta{}, nil, fmt.Errorf("the answer is no Kubernetes protobuf")
	}
	var unknown runtime.Unknown
	if err := unknown.Unmarshal(rest); err != nil {
		return runtime.TypeMeta{}, nil, fmt.Errorf("decoding the answer: %w", err)
	}
	return unknown.TypeMeta, unknown.Raw, nil
}

func decodeInto[O runtime.Object](contentType string, raw []byte, into O) (O, error) {
	var err error
	if m, ok := any(into).(message); ok && isProtobuf(contentType) {
		err = m.Unmarshal(raw)
	} else {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		var none O
		return none, fmt.Errorf("decoding the answer: %w", err)
	}
	return into, nil
}

// spread makes an api.List of a typed one. Items are copied out one by one,
// so that none of them keeps the whole list in memory.
func spread(list runtime.Object) (*api.List, error) {
	m, err := meta.ListAccessor(list)
	if err != nil {
		return nil, fmt.Errorf("the answer is no list: %w", err)
	}
	out := &api.List{ListMeta: metav1.ListMeta{
		ResourceVersion: m.GetResourceVersion(), Continue: m.GetContinue(), RemainingItemCount: m.GetRemainingItemCount(),
	}}
	err = meta.EachListItem(list, func(item runtime.Object) error {
		single := reflect.New(reflect.TypeOf(item).Elem())
		single.Elem().Set(reflect.ValueOf(item).Elem())
		obj, ok := single.Interface().(api.Object)
		if !ok {
			return fmt.Errorf("the list holds a %T", item)
		}
		out.Items = append(out.Items, obj)
		return nil
	})
	return out, err
}

func isProtobuf(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == mediaProtobuf
}
