package client

import (
	"bytes"
	"io"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
)

// FuzzDecodeAnswer: whatever a server answers, decoding ends with an object or
// an error.
func FuzzDecodeAnswer(f *testing.F) {
	kinds := catalog.New()
	pods := kinds.TypeOf(&corev1.Pod{})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	sent, err := encodeBody(&request.Request{Verb: request.Create, Kind: pods, Object: pod})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(true, true, sent.body)
	f.Add(true, false, sent.body)
	f.Add(false, true, []byte(`{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"p"}}]}`))
	f.Add(false, false, []byte(`{"kind":"Status","status":"Failure","reason":"NotFound"}`))
	f.Fuzz(func(t *testing.T, protobuf, list bool, data []byte) {
		contentType := mediaJSON
		if protobuf {
			contentType = mediaProtobuf
		}
		verb := request.Get
		if list {
			verb = request.List
		}
		obj, err := decodeAnswer(&request.Request{Verb: verb, Kind: pods}, contentType, data, kinds)
		if err == nil && obj == nil {
			t.Error("neither an object nor an error")
		}
	})
}

// FuzzFrames: a watch made of anything ends, in time and memory bounded by
// what was sent.
func FuzzFrames(f *testing.F) {
	f.Add(true, []byte{0, 0, 0, 2, 10, 0})
	f.Add(false, []byte(`{"type":"ADDED","object":{"kind":"Pod"}}`))
	f.Fuzz(func(t *testing.T, protobuf bool, data []byte) {
		next := jsonFrames(bytes.NewReader(data))
		if protobuf {
			next = protobufFrames(bytes.NewReader(data))
		}
		for range len(data) + 2 {
			if _, _, err := next(); err != nil {
				return
			}
		}
		t.Error("more events than bytes")
	})
}

func TestRoundTripKeepsObjects(t *testing.T) {
	kinds := catalog.New()
	pods := kinds.TypeOf(&corev1.Pod{})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Labels: map[string]string{"a": "b"}}}
	sent, err := encodeBody(&request.Request{Verb: request.Create, Kind: pods, Object: pod})
	if err != nil {
		t.Fatal(err)
	}
	obj, err := decodeAnswer(&request.Request{Verb: request.Get, Kind: pods}, sent.contentType, sent.body, kinds)
	if err != nil {
		t.Fatal(err)
	}
	if got := obj.(*corev1.Pod); got.Name != "p" || got.Labels["a"] != "b" {
		t.Errorf("came back as %+v", got)
	}
}

func TestCutStreamIsAnOrdinaryEnd(t *testing.T) {
	next := protobufFrames(bytes.NewReader([]byte{0, 0, 0, 9, 1}))
	if _, _, err := next(); err != io.EOF {
		t.Errorf("error %v, want the end", err)
	}
	huge := protobufFrames(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff}))
	if _, _, err := huge(); err == nil || err == io.EOF {
		t.Errorf("a frame of 4 GiB: %v", err)
	}
}
