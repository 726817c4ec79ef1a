package apiserver

import (
	"compress/gzip"
	"context"
	stderrors "errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/negotiate"
	"github.com/knarr-io/knarr/internal/apiserver/table"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// gzipFrom is the length from which an answer is compressed, in bytes.
const gzipFrom = 128 << 10

var statusKind = schema.GroupVersionKind{Version: "v1", Kind: "Status"}

// respond sends an answer in the form that was settled.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, c *call, res verb.Result) error {
	if c.record != nil {
		s.recordResponse(r, c, res)
	}
	release, err := s.hold(r.Context(), s.answerBudget, answerLength(res, c.answer.Format))
	if err != nil {
		return err
	}
	defer release()
	encode, err := s.encoder(r, c, res)
	if err != nil {
		return err
	}
	return s.send(w, r, c, res.Status, c.answer.Format, encode)
}

// encoder makes the answer's body, in the form that the call's answer names.
func (s *Server) encoder(r *http.Request, c *call, res verb.Result) (func() (codec.Body, error), error) {
	if status, isStatus := res.Object.(*metav1.Status); isStatus {
		return func() (codec.Body, error) {
			return inOne(codec.Encode(status, statusKind, c.answer.Format, c.answer.Pretty))
		}, nil
	}
	if c.answer.Target != negotiate.Whole && transformable(res) {
		return s.transformed(r, c, res)
	}
	return func() (codec.Body, error) { return s.whole(c, res) }, nil
}

// transformable tells whether an answer has a table or metadata form.
func transformable(res verb.Result) bool {
	_, isObject := res.Object.(api.Object)
	return res.Item != nil || res.List != nil || isObject
}

// send writes a whole answer.
func (s *Server) send(w http.ResponseWriter, r *http.Request, c *call, status int, format codec.Format, encode func() (codec.Body, error)) error {
	body, err := encode()
	if err != nil {
		return notEncodable(err)
	}
	h := w.Header()
	c.writeWarnings(h)
	h.Set("Content-Type", format.MediaType())
	if body.Len() > gzipFrom && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		w.WriteHeader(status)
		s.writeBody(w, func(to io.Writer) error { return compress(to, body) })
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	s.writeBody(w, func(to io.Writer) error {
		_, err := body.WriteTo(to)
		return err
	})
	return nil
}

func compress(to io.Writer, body codec.Body) error {
	z, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := body.WriteTo(z); err != nil {
		return err
	}
	return z.Close()
}

func notEncodable(err error) error {
	var not *codec.NotMarshalable
	if stderrors.As(err, &not) {
		return &errors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable, Message: err.Error(),
		}}
	}
	return err
}

// whole encodes an answer as it is.
func (s *Server) whole(c *call, res verb.Result) (codec.Body, error) {
	f := c.answer.Format
	switch {
	case res.Item != nil:
		bare, err := bareItem(res.Item, res.Kind, f)
		if err != nil {
			return nil, err
		}
		return inOne(codec.Wrap(bare, f, res.Kind.GVK, c.answer.Pretty))
	case res.List != nil:
		return wholeList(res.List, res.Kind, f, c.answer.Pretty)
	}
	return inOne(codec.Encode(res.Object, res.Object.GetObjectKind().GroupVersionKind(), f, c.answer.Pretty))
}

// transformed encodes an answer as a table or as bare metadata.
func (s *Server) transformed(r *http.Request, c *call, res verb.Result) (func() (codec.Body, error), error) {
	objects, meta := contents(res)
	var out runtime.Object
	switch c.answer.Target {
	case negotiate.Table:
		include, err := table.ParseInclude(r.URL.Query().Get("includeObject"))
		if err != nil {
			return nil, err
		}
		out = table.Of(shownAs(c.kind, res), meta, objects, include, time.Now())
	case negotiate.MetadataList:
		if res.List == nil {
			return nil, errors.NewBadRequest("you requested PartialObjectMetadataList, but the requested object is not a list")
		}
		out = metadataList(meta, objects)
	default:
		if res.List != nil {
			out = metadataList(meta, objects)
			break
		}
		out = table.Metadata(objects[0])
	}
	return func() (codec.Body, error) {
		return inOne(codec.Encode(out, out.GetObjectKind().GroupVersionKind(), c.answer.Format, c.answer.Pretty))
	}, nil
}

// shownAs is the kind that says how a table looks: that of the answer, which
// for a scale is not the parent's.
func shownAs(k *api.Kind, res verb.Result) *api.Kind {
	switch {
	case res.Object == nil || reflect.TypeOf(res.Object) == reflect.TypeOf(k.New()):
		return k
	case reflect.TypeOf(res.Object) == reflect.TypeFor[*autoscalingv1.Scale]():
		return table.Scale()
	}
	return &api.Kind{GVK: res.Object.GetObjectKind().GroupVersionKind()}
}

func metadataList(meta metav1.ListMeta, objects []api.Object) *metav1.PartialObjectMetadataList {
	out := &metav1.PartialObjectMetadataList{
		TypeMeta: metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: "PartialObjectMetadataList"},
		ListMeta: meta,
	}
	for _, obj := range objects {
		out.Items = append(out.Items, *table.Metadata(obj))
	}
	return out
}

// contents are an answer's objects, and the metadata that a list of them has.
func contents(res verb.Result) ([]api.Object, metav1.ListMeta) {
	if res.List != nil {
		out := make([]api.Object, len(res.List.Items))
		for i, item := range res.List.Items {
			out[i] = verb.View(res.Kind, item)
		}
		return out, res.List.ListMeta
	}
	obj := res.Value().(api.Object)
	return []api.Object{obj}, metav1.ListMeta{ResourceVersion: obj.GetResourceVersion()}
}

// fail answers with an error. Nothing of the answer must have been sent.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	c := callOf(r)
	status := statusOf(err)
	if status.Code == http.StatusInternalServerError {
		s.Logger.Warn("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	recordFailure(c.record, &status)
	answer := c.answer
	if answer == (negotiate.Answer{}) { // refused before the form was settled
		if a, bad := negotiate.Accept(r.Header.Get("Accept"), false, true); bad == nil {
			answer = a
		}
		answer.Pretty = answer.Pretty || negotiate.Pretty(r.URL.Query().Get("pretty"), r.UserAgent())
	}
	_ = s.send(w, r, c, int(status.Code), answer.Format, func() (codec.Body, error) {
		return inOne(codec.Encode(&status, statusKind, answer.Format, answer.Pretty))
	})
}

// statusOf is an error as an API status.
func statusOf(err error) metav1.Status {
	var known errors.APIStatus
	if stderrors.As(err, &known) {
		return known.Status()
	}
	if stderrors.Is(err, context.DeadlineExceeded) {
		return errors.NewTimeoutError("request did not complete within the allotted timeout", 0).Status()
	}
	return metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}
}
