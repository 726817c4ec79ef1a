package aggregation

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/discovery"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Own is a version of a group that this server answers beside its kinds, as
// long as no APIService names another server for it. It has no APIService of
// its own, so that whoever brings such a server can create one.
type Own struct {
	GroupVersion schema.GroupVersion
	// Priority puts the group in discovery's order.
	Priority  int32
	Resources []metav1.APIResource
	Handler   http.Handler
	Document  openapi.Extra
}

// Config is what an Aggregator works with. All fields are required but Own,
// Documents and Logger.
type Config struct {
	Own       []Own
	Kinds     *catalog.Catalog
	Objects   *cache.Cache
	Client    *outbound.Client
	Discovery *discovery.Handler
	Documents *openapi.Documents
	// Certificate is that of the front proxy.
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	Logger      *slog.Logger
}

// Aggregator knows the other servers. Safe for concurrent use; Run runs it.
type Aggregator struct {
	Config
	services, endpoints, registered *cache.Resource

	routes   atomic.Pointer[map[schema.GroupVersion]*backend]
	wake     chan struct{}
	backends map[string]*backend // by APIService: only Run's goroutine uses it
	running  sync.WaitGroup

	publishing sync.Mutex // orders what discovery is told
}

// New makes an aggregator that knows of no other server yet.
func New(c Config) (*Aggregator, error) {
	a := &Aggregator{Config: c, wake: make(chan struct{}, 1), backends: map[string]*backend{}}
	for gvr, resource := range map[schema.GroupVersionResource]**cache.Resource{
		corev1.SchemeGroupVersion.WithResource("services"):            &a.services,
		discoveryv1.SchemeGroupVersion.WithResource("endpointslices"): &a.endpoints,
		registration.SchemeGroupVersion.WithResource("apiservices"):   &a.registered,
	} {
		k := c.Kinds.Resource(gvr)
		if k == nil {
			return nil, fmt.Errorf("the catalogue of kinds does not hold %s", gvr.Resource)
		}
		*resource = c.Objects.Of(k)
	}
	if a.Logger == nil {
		a.Logger = slog.New(slog.DiscardHandler)
	}
	return a, nil
}

// Route finds who answers a path below /apis; nil: this server, by its kinds.
func (a *Aggregator) Route(path string) http.Handler {
	routes := a.routes.Load()
	rest, isGroup := strings.CutPrefix(path, "/apis/")
	if !isGroup || routes == nil {
		return nil
	}
	group, rest, _ := strings.Cut(rest, "/")
	version, _, _ := strings.Cut(rest, "/")
	gv := schema.GroupVersion{Group: group, Version: version}
	if b := (*routes)[gv]; b != nil {
		return b
	}
	for i := range a.Own {
		if a.Own[i].GroupVersion == gv {
			return a.Own[i].Handler
		}
	}
	return nil
}

// Run follows APIServices and what they lead to until ctx ends.
func (a *Aggregator) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer a.running.Wait()
	defer cancel()
	defer a.Kinds.OnChange(a.look)()
	failed := make(chan error, 3)
	a.follow(ctx, failed, a.registered, func(*cache.Item) { a.look() })
	a.follow(ctx, failed, a.services, func(item *cache.Item) { a.recheck(item.Object.GetNamespace(), item.Object.GetName()) })
	a.follow(ctx, failed, a.endpoints, func(item *cache.Item) {
		a.recheck(item.Object.GetNamespace(), item.Object.GetLabels()[discoveryv1.LabelServiceName])
	})
	for {
		if err := a.sync(ctx); err != nil && ctx.Err() == nil {
			a.Logger.Warn("APIServices could not be kept", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-a.wake:
		}
	}
}

// look makes Run compare what is registered with what runs.
func (a *Aggregator) look() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// recheck makes the servers behind a Service be asked anew.
func (a *Aggregator) recheck(namespace, service string) {
	routes := a.routes.Load()
	if routes == nil {
		return
	}
	for _, b := range *routes {
		if s := b.service.Spec.Service; s.Namespace == namespace && s.Name == service {
			b.look()
		}
	}
}

// follow calls fn for every object of a resource that changes. What changed
// before it began is looked at, too.
func (a *Aggregator) follow(ctx context.Context, failed chan<- error, r *cache.Resource, fn func(*cache.Item)) {
	a.running.Go(func() {
		begun := a.look
		for ctx.Err() == nil {
			err := each(ctx, r, begun, fn)
			if errors.Is(err, store.ErrTooOld) {
				begun = a.lookAtAll
				continue
			}
			if err != nil && !errors.Is(err, store.ErrClosed) && ctx.Err() == nil {
				failed <- fmt.Errorf("follow %s: %w", r.Kind().Resource, err)
			}
			return
		}
	})
}

func each(ctx context.Context, r *cache.Resource, begun func(), fn func(*cache.Item)) error {
	watch, err := r.Watch(r.Snapshot().Revision())
	if err != nil {
		return err
	}
	defer watch.Stop()
	begun()
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		for i := range events {
			fn(events[i].Item)
		}
	}
}

// lookAtAll makes up for events that were missed.
func (a *Aggregator) lookAtAll() {
	a.look()
	if routes := a.routes.Load(); routes != nil {
		for _, b := range *routes {
			b.look()
		}
	}
}
