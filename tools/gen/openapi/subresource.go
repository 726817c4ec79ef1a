package openapi

import (
	"fmt"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/openapi/operation"
)

// subresource adds the routes of an endpoint below an object.
func (b *builder) subresource(s api.Subresource) {
	t := b.item(b.kind.Resource, s.GVK.Kind)
	t.path += "/" + s.Name
	t.sub, t.gvk = s.Name, s.GVK
	if of, ok := connectOptions(s.GVK.Kind); ok {
		b.connect(t, of, isProxy(s.GVK.Kind))
		return
	}
	if b.kind.GVK.Kind == "Pod" && s.Name == "log" {
		b.log(t)
		return
	}
	t.model = b.model(s)
	for _, verb := range s.Verbs {
		switch verb {
		case "create":
			b.create(t)
		case "get":
			b.read(t)
		case "patch":
			b.patch(t)
		case "update":
			b.replace(t)
		}
	}
}

// model is the body of a subresource: the parent, or a type of its own.
func (b *builder) model(s api.Subresource) any {
	if s.GVK == b.kind.GVK {
		return b.kind.New()
	}
	switch s.GVK.Kind {
	case "Scale":
		return autoscalingv1.Scale{}
	case "Binding":
		return corev1.Binding{}
	case "Eviction":
		return policyv1.Eviction{}
	case "TokenRequest":
		return authenticationv1.TokenRequest{}
	}
	panic(fmt.Sprintf("the body of %s/%s is not known", b.kind.Resource, s.Name)) // only whoever runs the generator sees it
}

// connectOptions are the query options of endpoints that become a stream.
func connectOptions(kind string) (operation.Documented, bool) {
	switch kind {
	case "PodAttachOptions":
		return corev1.PodAttachOptions{}, true
	case "PodExecOptions":
		return corev1.PodExecOptions{}, true
	case "PodPortForwardOptions":
		return corev1.PodPortForwardOptions{}, true
	case "PodProxyOptions":
		return corev1.PodProxyOptions{}, true
	case "ServiceProxyOptions":
		return corev1.ServiceProxyOptions{}, true
	case "NodeProxyOptions":
		return corev1.NodeProxyOptions{}, true
	}
	return nil, false
}

func isProxy(kind string) bool {
	return kind == "PodProxyOptions" || kind == "ServiceProxyOptions" || kind == "NodeProxyOptions"
}

// connect adds the methods of a streaming endpoint; a proxy has a path below
// it, too, and takes every method.
func (b *builder) connect(t target, of operation.Documented, proxy bool) {
	methods := []string{http.MethodGet, http.MethodPost}
	if proxy {
		methods = append(methods, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPut)
	}
	b.connectAt(t, of, methods)
	if proxy {
		t.path += "/{path}"
		t.suffix = "WithPath"
		t.params = append(t.params, operation.InPath("path", "path to the resource"))
		b.connectAt(t, of, methods)
	}
}

func (b *builder) connectAt(t target, of operation.Documented, methods []string) {
	for _, method := range methods {
		verb := "connect" + method[:1] + strings.ToLower(method[1:])
		b.add(&operation.Operation{
			Method: method, Name: b.op(verb, t, ""), Action: "connect",
			Text:     "connect " + method + " requests to " + t.sub + " of " + b.kind.GVK.Kind,
			Params:   operation.Options(of),
			Produces: []string{"*/*"},
			Answers:  operation.Answers("string", http.StatusOK),
		}, t)
	}
}

func (b *builder) log(t target) {
	t.gvk = b.kind.GVK
	b.add(&operation.Operation{
		Method: http.MethodGet, Name: b.op("read", t, ""), Action: "get",
		Text:     "read log of the specified " + b.kind.GVK.Kind,
		Params:   append(operation.Options(corev1.PodLogOptions{}), operation.Pretty()),
		Produces: append([]string{"text/plain"}, mediaTypes()...),
		Answers:  operation.Answers("string", http.StatusOK),
	}, t)
}
