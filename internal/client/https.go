package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
)

// Bounds on what is read from a server.
const (
	maxAnswer = 1 << 30  // a list
	maxFrame  = 64 << 20 // one watch event
	maxError  = 1 << 20  // a body that says what went wrong
)

// https carries requests over the wire.
type https struct {
	client  *http.Client
	base    *url.URL
	agent   string
	catalog *catalog.Catalog
}

// NewHTTPS makes a transport to the server of a client-go configuration,
// which gives address, TLS and credentials. Objects travel as protobuf where
// their type can, else as JSON.
func NewHTTPS(config *rest.Config, c *catalog.Catalog) (request.Transport, error) {
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("setting up the connection to the API server: %w", err)
	}
	base, _, err := rest.DefaultServerURL(config.Host, "", catalogVersion, true)
	if err != nil {
		return nil, fmt.Errorf("address of the API server: %w", err)
	}
	agent := config.UserAgent
	if agent == "" {
		agent = rest.DefaultKubernetesUserAgent()
	}
	return &https{client: hc, base: base, agent: agent, catalog: c}, nil
}

// Direct is a rest.Config's Proxy for the cluster's own machines: a proxy that
// the environment names is for the world, and mostly does not reach them.
func Direct(*http.Request) (*url.URL, error) { return nil, nil }

// Do implements request.Transport.
func (h *https) Do(ctx context.Context, req *request.Request) (runtime.Object, error) {
	res, err := h.send(ctx, req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer to %s %s: %w", req.Verb, req.Kind.Resource, err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer to %s %s is larger than %d bytes", req.Verb, req.Kind.Resource, maxAnswer)
	}
	return decodeAnswer(req, res.Header.Get("Content-Type"), body, h.catalog)
}

// Watch implements request.Transport.
func (h *https) Watch(ctx context.Context, req *request.Request) (request.Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	res, err := h.send(ctx, req)
	if err != nil {
		cancel()
		return nil, err
	}
	return newWireStream(req.Kind, res, cancel), nil
}

// send makes the HTTP request and turns failures into API errors.
func (h *https) send(ctx context.Context, req *request.Request) (*http.Response, error) {
	wire, err := encodeBody(req)
	if err != nil {
		return nil, err
	}
	hr, err := http.NewRequestWithContext(ctx, method(req.Verb), h.address(req), bytes.NewReader(wire.body))
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	if wire.contentType != "" {
		hr.Header.Set("Content-Type", wire.contentType)
	}
	hr.Header.Set("Accept", accepts(req))
	hr.Header.Set("User-Agent", h.agent)
	res, err := h.client.Do(hr)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 400 {
		defer res.Body.Close()
		return nil, failure(req, res)
	}
	return res, nil
}

// address is the URL of a request.
func (h *https) address(req *request.Request) string {
	gvk := req.Kind.GVK
	parts := []string{"apis", gvk.Group, gvk.Version}
	if gvk.Group == "" {
		parts = []string{"api", gvk.Version}
	}
	if req.Namespace != "" && req.Kind.Namespaced {
		parts = append(parts, "namespaces", req.Namespace)
	}
	parts = append(parts, req.Kind.Resource)
	if req.Name != "" {
		parts = append(parts, req.Name)
	}
	if req.Subresource != "" {
		parts = append(parts, req.Subresource)
	}
	u := h.base.JoinPath(parts...)
	u.RawQuery = query(req).Encode()
	return u.String()
}

func method(v request.Verb) string {
	switch v {
	case request.Create:
		return http.MethodPost
	case request.Update:
		return http.MethodPut
	case request.Patch:
		return http.MethodPatch
	case request.Delete, request.DeleteCollection:
		return http.MethodDelete
	default:
		return http.MethodGet
	}
}

// failure reads an error answer: the server's Status, or one made of the
// HTTP status where a proxy in between answered.
func failure(req *request.Request, res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxError))
	if err == nil {
		obj, derr := decodeStatus(res.Header.Get("Content-Type"), body)
		if derr == nil && obj.Status != metav1.StatusSuccess && obj.Reason+metav1.StatusReason(obj.Message) != "" {
			return apierrors.FromObject(obj)
		}
	}
	retry := 0
	if _, serr := fmt.Sscan(res.Header.Get("Retry-After"), &retry); serr != nil {
		retry = 0
	}
	return apierrors.NewGenericServerResponse(res.StatusCode, strings.ToUpper(string(req.Verb)), req.Kind.GroupResource(),
		req.Name, strings.TrimSpace(string(body)), retry, true)
}
