package resourcequota

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/quota"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/custom"
)

// sources are the informers of what quotas count. Its methods are safe for
// concurrent use.
type sources struct {
	inf *client.Informers
	// told is told of every object that came, changed or went.
	told    func(schema.GroupResource, api.Object)
	builtin map[schema.GroupResource]*api.Kind

	mu   sync.Mutex
	have map[schema.GroupResource]*client.Informer[api.Object] // guarded by mu
}

func newSources(c *client.Client, inf *client.Informers, told func(schema.GroupResource, api.Object)) *sources {
	s := &sources{
		inf: inf, told: told, builtin: map[schema.GroupResource]*api.Kind{},
		have: map[schema.GroupResource]*client.Informer[api.Object]{},
	}
	for _, kind := range c.Catalog().Kinds() {
		if gr := kind.GroupResource(); kind.Namespaced && !kind.Virtual && s.builtin[gr] == nil {
			s.builtin[gr] = kind
		}
	}
	custom.Follow(c, inf, custom.Handler{
		Come: func(informer *client.Informer[api.Object]) {
			if informer.Kind().Namespaced {
				s.put(informer)
			}
		},
		Gone: s.gone,
	})
	return s
}

// of are the informers of the resources that a quota limits.
func (s *sources) of(q *corev1.ResourceQuota) map[schema.GroupResource]*client.Informer[api.Object] {
	for gr, kind := range s.builtin {
		if quota.Limits(q.Spec.Hard, gr) {
			s.put(client.InformerOf(s.inf, kind))
		}
	}
	out := map[schema.GroupResource]*client.Informer[api.Object]{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for gr, informer := range s.have {
		if quota.Limits(q.Spec.Hard, gr) {
			out[gr] = informer
		}
	}
	return out
}

// put takes an informer in, in the place of that of a former kind.
func (s *sources) put(informer *client.Informer[api.Object]) {
	gr := informer.Kind().GroupResource()
	s.mu.Lock()
	before := s.have[gr]
	s.have[gr] = informer
	s.mu.Unlock()
	if before != nil && before.Kind() == informer.Kind() {
		return
	}
	informer.OnChange(func(old, new api.Object) {
		if new == nil {
			new = old
		}
		s.told(gr, new)
	})
}

// gone tells of all that an informer held which has ended: it went, or the
// next one holds it.
func (s *sources) gone(old, next *client.Informer[api.Object]) {
	gr := old.Kind().GroupResource()
	if next == nil {
		s.mu.Lock()
		delete(s.have, gr)
		s.mu.Unlock()
	}
	for _, obj := range old.List("", nil) {
		s.told(gr, obj)
	}
}
