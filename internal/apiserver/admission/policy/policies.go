package policy

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/admission/match"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Types gives the schema by which apply configurations merge.
type Types interface {
	TypeConverter(gv schema.GroupVersion) (managedfields.TypeConverter, error)
}

// Config is what policies need. All fields are required but Registry.
type Config struct {
	Kinds      *catalog.Catalog
	Objects    *cache.Cache
	Authorizer authorizer.Authorizer
	Types      Types
	Registry   prometheus.Registerer
}

// Policies are all admission policies of a cluster.
type Policies struct {
	kinds      *catalog.Catalog
	objects    *cache.Cache
	matcher    *match.Matcher
	authorizer authorizer.Authorizer
	types      Types
	metrics    *metrics

	validating set[*validator]
	mutating   set[*mutator]
}

// New prepares policies; it reads none yet.
func New(c Config) (*Policies, error) {
	p := &Policies{kinds: c.Kinds, objects: c.Objects, matcher: match.New(c.Kinds, c.Objects), authorizer: c.Authorizer, types: c.Types, metrics: newMetrics(c.Registry)}
	p.validating.read, p.mutating.read = readValidating, readMutating
	for plural, resource := range map[string]**cache.Resource{
		"validatingadmissionpolicies": &p.validating.policies, "validatingadmissionpolicybindings": &p.validating.bindings,
		"mutatingadmissionpolicies": &p.mutating.policies, "mutatingadmissionpolicybindings": &p.mutating.bindings,
	} {
		k := c.Kinds.Resource(admissionregistrationv1.SchemeGroupVersion.WithResource(plural))
		if k == nil {
			return nil, errors.New("the catalogue of kinds does not hold " + plural)
		}
		*resource = c.Objects.Of(k)
	}
	return p, nil
}

// Mutating is the plugin of mutating policies.
func (p *Policies) Mutating() admission.Plugin {
	return admission.Plugin{Name: "MutatingAdmissionPolicy", Mutate: p.mutate}
}

// Validating is the plugin of validating policies.
func (p *Policies) Validating() admission.Plugin {
	return admission.Plugin{Name: "ValidatingAdmissionPolicy", Validate: p.validate}
}

// exempt tells of the writes that no policy is asked about: what configures
// admission, and reviews, which are questions.
func exempt(a *admission.Attributes) bool {
	switch a.Kind.GVK.Group {
	case "authentication.k8s.io", "authorization.k8s.io":
		return true
	}
	return match.Exempt(a)
}

// active is a policy with its bindings.
type active[E any] struct {
	policy   *cache.Item
	name     string
	criteria *match.Criteria
	params   *admissionregistrationv1.ParamKind
	bindings []binding
	// compiled makes the programs, once.
	compiled func() E
}

// binding is what bindings of both kinds have in common.
type binding struct {
	name     string
	criteria *match.Criteria
	params   *admissionregistrationv1.ParamRef
	actions  []admissionregistrationv1.ValidationAction
}

// set holds the policies of one kind as they are configured.
type set[E any] struct {
	policies, bindings *cache.Resource
	read               func(policies, bindings cache.Snapshot) []active[E]

	current atomic.Pointer[configured[E]]
	mu      sync.Mutex // orders readings
}

// configured is what one state of policies and bindings says.
type configured[E any] struct {
	policies, bindings cache.Snapshot
	active             []active[E]
}

// now gives the policies that have bindings, by name.
func (s *set[E]) now() []active[E] {
	policies, bindings := s.policies.Snapshot(), s.bindings.Snapshot()
	if c := s.current.Load(); c != nil && c.policies.Same(policies) && c.bindings.Same(bindings) {
		return c.active
	}
	return s.reread(policies, bindings)
}

func (s *set[E]) reread(policies, bindings cache.Snapshot) []active[E] {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current.Load()
	if before != nil && before.policies.Same(policies) && before.bindings.Same(bindings) {
		return before.active
	}
	next := &configured[E]{policies: policies, bindings: bindings, active: s.read(policies, bindings)}
	if before != nil {
		keepCompiled(next.active, before.active)
	}
	s.current.Store(next)
	return next.active
}

// keepCompiled takes over the programs of policies that did not change.
func keepCompiled[E any](now, before []active[E]) {
	have := make(map[*cache.Item]func() E, len(before))
	for i := range before {
		have[before[i].policy] = before[i].compiled
	}
	for i := range now {
		if compiled := have[now[i].policy]; compiled != nil {
			now[i].compiled = compiled
		}
	}
}
