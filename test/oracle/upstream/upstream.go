// Package upstream answers writes by the rules of Kubernetes itself: its
// decoding defaults, conversions, strategies and validation, imported from its
// module. Authorization, admission and the store are left out.
package upstream

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"github.com/knarr-io/knarr/test/oracle/outcome"
)

// Server answers writes. It is used by one goroutine.
type Server struct {
	Scheme *runtime.Scheme
	// User is who asks.
	User user.Info
}

// Request names the endpoint of a write.
type Request struct {
	Kind                              Kind
	Verb, Resource, Subresource, Name string
	Namespaced                        bool
}

// Create answers the creation of the object that the JSON text holds.
func (s *Server) Create(r Request, text []byte) outcome.Outcome {
	obj, err := s.decode(r.Kind, text)
	if err != nil {
		return outcome.Outcome{Broken: err.Error()}
	}
	var warned warnings
	if err := rest.BeforeCreate(r.Kind.Main, s.context(r, &warned), obj); err != nil {
		return outcome.Refused(err)
	}
	return s.encode(r.Kind, obj, warned.texts)
}

// Update answers the change of the stored object to what the JSON text holds.
func (s *Server) Update(r Request, strategy rest.RESTUpdateStrategy, text, stored []byte) outcome.Outcome {
	obj, err := s.decode(r.Kind, text)
	if err != nil {
		return outcome.Outcome{Broken: err.Error()}
	}
	old, err := s.decode(r.Kind, stored)
	if err != nil {
		return outcome.Outcome{Broken: err.Error()}
	}
	var warned warnings
	if err := rest.BeforeUpdate(strategy, s.context(r, &warned), obj, old); err != nil {
		return outcome.Refused(err)
	}
	return s.encode(r.Kind, obj, warned.texts)
}

func (s *Server) decode(k Kind, text []byte) (runtime.Object, error) {
	obj, err := s.Scheme.New(k.GVK)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, obj); err != nil {
		return nil, err
	}
	s.Scheme.Default(obj)
	// Without a copy, as upstream's server: what defaults let two fields share
	// stays shared.
	return s.Scheme.UnsafeConvertToVersion(obj, runtime.InternalGroupVersioner)
}

func (s *Server) encode(k Kind, internal runtime.Object, warned []string) outcome.Outcome {
	obj, err := s.Scheme.ConvertToVersion(internal, k.GVK.GroupVersion())
	if err != nil {
		return outcome.Outcome{Broken: err.Error()}
	}
	if obj, err = s.store(obj); err != nil {
		return outcome.Outcome{Broken: err.Error()}
	}
	at, err := meta.Accessor(obj)
	if err != nil {
		return outcome.Outcome{Broken: fmt.Sprintf("%T: %v", obj, err)}
	}
	return outcome.Accepted(at, warned)
}

// store gives the object as it comes back out of upstream's store, which makes
// no difference between empty and absent where protobuf makes none, and has
// defaults set.
func (s *Server) store(obj runtime.Object) (runtime.Object, error) {
	in, isProto := obj.(interface{ Marshal() ([]byte, error) })
	if !isProto {
		return obj, nil
	}
	bytes, err := in.Marshal()
	if err != nil {
		return nil, err
	}
	kinds, _, err := s.Scheme.ObjectKinds(obj)
	if err != nil {
		return nil, err
	}
	out, err := s.Scheme.New(kinds[0])
	if err != nil {
		return nil, err
	}
	if err := out.(interface{ Unmarshal([]byte) error }).Unmarshal(bytes); err != nil {
		return nil, err
	}
	s.Scheme.Default(out)
	internal, err := s.Scheme.ConvertToVersion(out, runtime.InternalGroupVersioner)
	if err != nil {
		return nil, err
	}
	return s.Scheme.ConvertToVersion(internal, kinds[0].GroupVersion())
}

func (s *Server) context(r Request, warned *warnings) context.Context {
	namespace := ""
	if r.Namespaced {
		namespace = metav1.NamespaceDefault
	}
	ctx := genericapirequest.WithNamespace(context.Background(), namespace)
	ctx = genericapirequest.WithUser(ctx, s.User)
	ctx = genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{
		IsResourceRequest: true, Verb: r.Verb, APIPrefix: "apis", APIGroup: r.Kind.GVK.Group, APIVersion: r.Kind.GVK.Version,
		Namespace: namespace, Resource: r.Resource, Subresource: r.Subresource, Name: r.Name,
	})
	return warning.WithWarningRecorder(ctx, warned)
}

// warnings keeps what a write warns of.
type warnings struct{ texts []string }

// AddWarning implements warning.Recorder.
func (w *warnings) AddWarning(_, text string) { w.texts = append(w.texts, text) }
