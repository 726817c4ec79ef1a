package apiserver

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/audit"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// Transport is a client in the server's own process, under an identity. Its
// requests meet the same authorization, admission and verbs as those from the
// wire, on shared objects instead of bytes.
func (s *Server) Transport(u user.Info) request.Transport { return &transport{server: s, user: u} }

type transport struct {
	server *Server
	user   user.Info
}

// Do is part of request.Transport.
func (t *transport) Do(ctx context.Context, req *request.Request) (runtime.Object, error) {
	a := t.attributes(req)
	ctx, rec := t.begin(ctx, a, req)
	res, err := t.do(ctx, a, req)
	t.end(rec, res, err)
	if err != nil {
		return nil, err
	}
	return res.Value(), nil
}

func (t *transport) do(ctx context.Context, a authorizer.Attributes, req *request.Request) (verb.Result, error) {
	if err := t.server.admit(ctx, a); err != nil {
		return verb.Result{}, err
	}
	if err := t.server.withDefaults(req); err != nil {
		return verb.Result{}, err
	}
	return t.server.verbs.Do(ctx, t.user, req)
}

// withDefaults does for an object of this process what decoding does for one
// from the wire.
func (s *Server) withDefaults(req *request.Request) error {
	if req.Object == nil {
		return nil
	}
	s.codec.Complete(req.Object)
	return nil
}

func (t *transport) attributes(req *request.Request) authorizer.AttributesRecord {
	name, namespace := req.Name, req.Namespace
	if req.Kind.Resource == "namespaces" && req.Kind.GVK.Group == "" {
		namespace = name
	}
	a := authorizer.AttributesRecord{
		User: t.user, Verb: string(req.Verb), Namespace: namespace, APIGroup: req.Kind.GVK.Group, APIVersion: req.Kind.GVK.Version,
		Resource: req.Kind.Resource, Subresource: req.Subresource, Name: name, ResourceRequest: true,
	}
	if name == "" && req.ListOptions.FieldSelector != "" {
		narrow(&a, req.ListOptions.FieldSelector)
	}
	return a
}

// narrow tells authorization what a field selector narrows a collection to: a
// node may read its own pods and objects by name where it may not read all.
func narrow(a *authorizer.AttributesRecord, selector string) {
	s, err := fields.ParseSelector(selector)
	if err != nil {
		a.FieldSelectorParsingErr = err
		return
	}
	a.FieldSelectorRequirements = s.Requirements()
	if name, ok := s.RequiresExactMatch("metadata.name"); ok {
		a.Name = name
	}
}

// Watch is part of request.Transport.
func (t *transport) Watch(ctx context.Context, req *request.Request) (request.Stream, error) {
	a := t.attributes(req)
	a.Verb = string(request.Watch)
	ctx, rec := t.begin(ctx, a, req)
	running, err := t.watch(ctx, a, req)
	if err != nil {
		t.end(rec, verb.Result{}, err)
		return nil, err
	}
	rec.Started(http.StatusOK)
	return &stream{watch: running, server: t.server, bound: ctx, record: rec}, nil
}

func (t *transport) watch(ctx context.Context, a authorizer.Attributes, req *request.Request) (*verb.Watch, error) {
	if err := t.server.admit(ctx, a); err != nil {
		return nil, err
	}
	return t.server.verbs.Watch(ctx, req)
}

// stream is a watch of shared objects.
type stream struct {
	watch  *verb.Watch
	server *Server
	bound  context.Context // the watch's life
	record *audit.Record
}

// Next is part of request.Stream.
func (s *stream) Next(ctx context.Context) ([]request.Event, error) {
	ctx, cancel := s.server.untilStop(ctx)
	defer cancel()
	stop := context.AfterFunc(s.bound, cancel)
	defer stop()
	events, err := s.watch.Next(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]request.Event, len(events))
	for i := range events {
		out[i] = request.Event{Type: events[i].Type, Object: eventObject(s.watch.Kind, &events[i])}
	}
	return out, nil
}

// Stop is part of request.Stream.
func (s *stream) Stop() {
	s.watch.Stop()
	s.record.Done(http.StatusOK)
}
