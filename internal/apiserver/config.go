package apiserver

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/audit"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/managed"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what a server is made of. Catalog, Cache, Authenticator,
// Authorizer and Types are required.
type Config struct {
	Catalog       *catalog.Catalog
	Cache         *cache.Cache
	Authenticator authenticator.Request
	Authorizer    authorizer.Authorizer
	// Types gives the schemas by which field ownership is kept.
	Types     managed.TypeConverters
	Admission admission.Chain
	Endpoints *endpoint.Registry
	Hooks     map[*api.Kind]verb.Hook
	// Permits take part in the validation of single kinds (package permit).
	Permits map[*api.Kind]verb.Check

	// Handlers answer plain paths: discovery, OpenAPI, keys. A key that ends
	// in a slash answers everything below it; the longest one counts.
	Handlers map[string]http.Handler
	// Extension answers API requests for resources that the catalogue does
	// not hold; nil: they are not found.
	Extension http.Handler

	// Aggregated finds who answers a path instead of this server, by the
	// path; nil, also of the function: this server does. The handler finds the
	// user in the request's context.
	Aggregated func(path string) http.Handler

	// Checks are what /readyz, /livez and /healthz ask, beyond their own.
	Checks  []Check
	Version version.Info

	// MaxReads and MaxWrites are together the seats that priority levels share
	// (package flow); zero: 400 and 200.
	MaxReads, MaxWrites int
	// MaxWatches bounds the watches that run; zero: limits.Watches.
	MaxWatches int
	// RequestTimeout bounds every request but those; zero: one minute.
	RequestTimeout time.Duration
	// Audit writes who asked what; nil: nobody wants to know.
	Audit *audit.Log

	Logger   *slog.Logger
	Registry *prometheus.Registry
}

func (c Config) complete() (Config, error) {
	switch {
	case c.Catalog == nil, c.Cache == nil:
		return c, errors.New("the API server needs a catalogue and a cache")
	case c.Authenticator == nil, c.Authorizer == nil:
		return c, errors.New("the API server needs an authenticator and an authorizer")
	case c.Types == nil:
		return c, errors.New("the API server needs the schemas of its types")
	}
	if c.Endpoints == nil {
		c.Endpoints = endpoint.NewRegistry()
	}
	if c.MaxReads == 0 {
		c.MaxReads = limits.Reads
	}
	if c.MaxWrites == 0 {
		c.MaxWrites = limits.Writes
	}
	if c.MaxWatches == 0 {
		c.MaxWatches = limits.Watches
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = limits.Request
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	return c, nil
}
