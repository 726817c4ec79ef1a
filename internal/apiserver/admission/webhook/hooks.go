package webhook

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/admission/match"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what webhooks need. All fields are required but Registry, Logger,
// Credentials and Authorizer, which only match conditions ask.
type Config struct {
	Kinds      *catalog.Catalog
	Objects    *cache.Cache
	Client     *outbound.Client
	Authorizer authorizer.Authorizer
	Registry   prometheus.Registerer
	Logger     *slog.Logger
	// Credentials are those for webhooks of either kind.
	Credentials Credentials
}

// Credentials identify this server to webhooks of each kind; either may be nil.
type Credentials struct{ Mutating, Validating outbound.Credentials }

// kind is which of the two kinds of webhooks.
type kind uint8

const (
	mutating kind = iota
	validating
)

// metric is the kind's name in metrics.
func (k kind) metric() string {
	if k == mutating {
		return "admit"
	}
	return "validating"
}

// Hooks are all webhooks of a cluster.
type Hooks struct {
	client     *outbound.Client
	matcher    *match.Matcher
	authorizer authorizer.Authorizer
	metrics    *metrics
	log        *slog.Logger
	lists      [2]list // by kind
}

// list is the compiled webhooks of one kind.
type list struct {
	resource    *cache.Resource
	credentials outbound.Credentials
	read        func(h *Hooks, snap cache.Snapshot, before []*hook) []*hook

	current atomic.Pointer[compiled]
	mu      sync.Mutex // orders compilations
}

// compiled is what one state of the configurations says.
type compiled struct {
	of    cache.Snapshot
	hooks []*hook
}

// New prepares webhooks; it reads no configuration yet.
func New(c Config) (*Hooks, error) {
	h := &Hooks{client: c.Client, matcher: match.New(c.Kinds, c.Objects), authorizer: c.Authorizer, metrics: newMetrics(c.Registry), log: c.Logger}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.lists[mutating].credentials, h.lists[validating].credentials = c.Credentials.Mutating, c.Credentials.Validating
	for k, l := range map[kind]struct {
		plural string
		read   func(*Hooks, cache.Snapshot, []*hook) []*hook
	}{
		mutating:   {"mutatingwebhookconfigurations", readMutating},
		validating: {"validatingwebhookconfigurations", readValidating},
	} {
		known := c.Kinds.Resource(admissionregistrationv1.SchemeGroupVersion.WithResource(l.plural))
		if known == nil {
			return nil, errors.New("the catalogue of kinds does not hold " + l.plural)
		}
		h.lists[k].resource, h.lists[k].read = c.Objects.Of(known), l.read
	}
	return h, nil
}

// Mutating is the plugin that calls mutating webhooks.
func (h *Hooks) Mutating() admission.Plugin {
	return admission.Plugin{Name: "MutatingAdmissionWebhook", Mutate: h.mutate}
}

// Validating is the plugin that calls validating webhooks.
func (h *Hooks) Validating() admission.Plugin {
	return admission.Plugin{Name: "ValidatingAdmissionWebhook", Validate: h.validate}
}

// of gives the webhooks as they are configured now.
func (h *Hooks) of(k kind) []*hook {
	l := &h.lists[k]
	snap := l.resource.Snapshot()
	if now := l.current.Load(); now != nil && now.of.Same(snap) {
		return now.hooks
	}
	return h.reread(l, snap)
}

func (h *Hooks) reread(l *list, snap cache.Snapshot) []*hook {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.current.Load()
	if now != nil && (now.of.Same(snap) || now.of.Revision() > snap.Revision()) {
		return now.hooks
	}
	var before []*hook
	if now != nil {
		before = now.hooks
	}
	next := &compiled{of: snap, hooks: l.read(h, snap, before)}
	l.current.Store(next)
	closeUnused(before, next.hooks)
	return next.hooks
}

// closeUnused drops the connections to servers that no configuration names
// any more.
func closeUnused(before, now []*hook) {
	used := map[*outbound.Endpoint]bool{}
	for _, h := range now {
		used[h.endpoint] = true
	}
	for _, h := range before {
		if h.endpoint != nil && !used[h.endpoint] {
			h.endpoint.Close()
		}
	}
}

func readMutating(h *Hooks, snap cache.Snapshot, before []*hook) []*hook {
	var out []*hook
	snap.Ascend("", "", "", func(item *cache.Item) bool {
		c := item.Object.(*admissionregistrationv1.MutatingWebhookConfiguration)
		for i := range c.Webhooks {
			out = append(out, h.compile(mutating, c.Name, i, mutatingSource(&c.Webhooks[i]), before))
		}
		return true
	})
	return out
}

func readValidating(h *Hooks, snap cache.Snapshot, before []*hook) []*hook {
	var out []*hook
	snap.Ascend("", "", "", func(item *cache.Item) bool {
		c := item.Object.(*admissionregistrationv1.ValidatingWebhookConfiguration)
		for i := range c.Webhooks {
			out = append(out, h.compile(validating, c.Name, i, validatingSource(&c.Webhooks[i]), before))
		}
		return true
	})
	return out
}

// Close drops the connections to all webhooks.
func (h *Hooks) Close() {
	for i := range h.lists {
		if now := h.lists[i].current.Load(); now != nil {
			closeUnused(now.hooks, nil)
		}
	}
}
