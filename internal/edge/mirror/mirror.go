// Package mirror is what the edge knows of the cluster: Services, endpoint
// slices, Ingresses and their classes, TLS Secrets and the settings of DNS, as
// last seen.
//
// It is fed by informers and, before they have synced, by the copy that an
// earlier process saved. Secrets are never saved. The mirror is the only
// owner of this state; DNS and Ingress read it and are told what changed.
package mirror

import (
	"context"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
)

// Key names an object.
type Key struct{ Namespace, Name string }

func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Topic is what a change is about.
type Topic int

// The topics. A slice's change names its Service.
const (
	Service Topic = iota
	Ingress
	Class
	Secret
	// Settings is the ConfigMap kube-system/kube-dns.
	Settings
)

// DNSSettings names the ConfigMap of stub domains, by the name that clusters
// know it by.
var DNSSettings = Key{Namespace: "kube-system", Name: "kube-dns"}

// Mirror is safe for concurrent use; its objects are shared and immutable.
type Mirror struct {
	logger *slog.Logger
	path   string // of the saved copy

	mu        sync.RWMutex
	services  map[Key]*corev1.Service
	slices    map[Key]map[string]*discoveryv1.EndpointSlice // by Service
	ingresses map[Key]*networkingv1.Ingress
	classes   map[Key]*networkingv1.IngressClass
	secrets   map[Key]*corev1.Secret
	settings  map[Key]*corev1.ConfigMap
	leaving   leaving
	listeners []func(Topic, Key)
	telling   sync.Mutex // held while listeners are told
	changed   chan struct{}
}

// New makes an empty mirror that saves its copy at path.
func New(path string, logger *slog.Logger) *Mirror {
	return &Mirror{
		logger: logger, path: path,
		services:  map[Key]*corev1.Service{},
		slices:    map[Key]map[string]*discoveryv1.EndpointSlice{},
		ingresses: map[Key]*networkingv1.Ingress{},
		classes:   map[Key]*networkingv1.IngressClass{},
		secrets:   map[Key]*corev1.Secret{},
		settings:  map[Key]*corev1.ConfigMap{},
		leaving:   leaving{taking: map[string]int{}, moved: make(chan struct{})},
		changed:   make(chan struct{}, 1),
	}
}

// OnChange calls fn after every change, from the goroutine that made it, one
// change at a time: what fn makes of the mirror last is made of all that was
// told. All listeners are added before Follow or Load.
func (m *Mirror) OnChange(fn func(Topic, Key)) { m.listeners = append(m.listeners, fn) }

func (m *Mirror) tell(topic Topic, key Key) {
	m.telling.Lock()
	defer m.telling.Unlock()
	for _, fn := range m.listeners {
		fn(topic, key)
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// Service finds a Service.
func (m *Mirror) Service(key Key) (*corev1.Service, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	svc, ok := m.services[key]
	return svc, ok
}

// Slices are the endpoint slices of a Service.
func (m *Mirror) Slices(service Key) []*discoveryv1.EndpointSlice {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*discoveryv1.EndpointSlice, 0, len(m.slices[service]))
	for _, s := range m.slices[service] {
		out = append(out, s)
	}
	return out
}

// Ingresses are all Ingresses, in no order.
func (m *Mirror) Ingresses() []*networkingv1.Ingress {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return values(m.ingresses)
}

// Classes are all Ingress classes, in no order.
func (m *Mirror) Classes() []*networkingv1.IngressClass {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return values(m.classes)
}

// Secret finds a TLS Secret.
func (m *Mirror) Secret(key Key) (*corev1.Secret, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s, ok := m.secrets[key]
	return s, ok
}

// Settings are those of DNS, where there are any.
func (m *Mirror) Settings() (*corev1.ConfigMap, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, ok := m.settings[DNSSettings]
	return c, ok
}

func values[T any](m map[Key]T) []T {
	out := make([]T, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// Follow registers with the informers, which must not run yet, and returns a
// function that waits until they have synced and then drops what an older
// copy held and the cluster no longer has.
func (m *Mirror) Follow(inf *client.Informers) (settle func(context.Context) error) {
	services := client.InformerFor[*corev1.Service](inf)
	slices := client.InformerFor[*discoveryv1.EndpointSlice](inf)
	ingresses := client.InformerFor[*networkingv1.Ingress](inf)
	classes := client.InformerFor[*networkingv1.IngressClass](inf)
	secrets := client.InformerWith[*corev1.Secret](inf, client.Selection{Fields: "type=" + string(corev1.SecretTypeTLS)})
	settings := client.InformerWith[*corev1.ConfigMap](inf, client.Selection{Namespace: DNSSettings.Namespace, Fields: "metadata.name=" + DNSSettings.Name})
	settings.OnChange(func(old, new *corev1.ConfigMap) { set(m, Settings, m.settings, old, new) })
	services.OnChange(func(old, new *corev1.Service) { set(m, Service, m.services, old, new) })
	ingresses.OnChange(func(old, new *networkingv1.Ingress) { set(m, Ingress, m.ingresses, old, new) })
	classes.OnChange(func(old, new *networkingv1.IngressClass) { set(m, Class, m.classes, old, new) })
	secrets.OnChange(func(old, new *corev1.Secret) { set(m, Secret, m.secrets, old, new) })
	slices.OnChange(m.setSlice)
	return func(ctx context.Context) error {
		if err := inf.WaitSynced(ctx); err != nil {
			return err
		}
		drop(m, Service, m.services, services)
		drop(m, Ingress, m.ingresses, ingresses)
		drop(m, Class, m.classes, classes)
		drop(m, Settings, m.settings, settings)
		m.dropSlices(slices)
		return nil
	}
}

// Put stores one object as if it had been announced; kinds that the mirror
// does not keep are a programming error and ignored.
func (m *Mirror) Put(obj api.Object) {
	switch o := obj.(type) {
	case *corev1.Service:
		set(m, Service, m.services, nil, o)
	case *discoveryv1.EndpointSlice:
		m.setSlice(nil, o)
	case *networkingv1.Ingress:
		set(m, Ingress, m.ingresses, nil, o)
	case *networkingv1.IngressClass:
		set(m, Class, m.classes, nil, o)
	case *corev1.Secret:
		set(m, Secret, m.secrets, nil, o)
	case *corev1.ConfigMap:
		set(m, Settings, m.settings, nil, o)
	}
}

func keyOf(obj api.Object) Key { return Key{obj.GetNamespace(), obj.GetName()} }

// set stores the new object, or removes the old one where there is no new.
func set[T interface {
	api.Object
	comparable
}](m *Mirror, topic Topic, into map[Key]T, old, new T) {
	var none T
	m.mu.Lock()
	obj := new
	if new != none {
		into[keyOf(new)] = new
	} else {
		obj = old
		delete(into, keyOf(old))
	}
	m.mu.Unlock()
	m.tell(topic, keyOf(obj))
}

func serviceOf(s *discoveryv1.EndpointSlice) Key {
	return Key{s.Namespace, s.Labels[discoveryv1.LabelServiceName]}
}

func (m *Mirror) setSlice(old, new *discoveryv1.EndpointSlice) {
	m.mu.Lock()
	if old != nil {
		m.takeOutLocked(old)
	}
	if new != nil {
		key := serviceOf(new)
		if m.slices[key] == nil {
			m.slices[key] = map[string]*discoveryv1.EndpointSlice{}
		}
		if had := m.slices[key][new.Name]; had != nil {
			m.leaving.countLocked(had, -1)
		}
		m.leaving.countLocked(new, 1)
		m.slices[key][new.Name] = new
	}
	m.leaving.tellLocked()
	m.mu.Unlock()
	for _, s := range []*discoveryv1.EndpointSlice{old, new} {
		if s != nil {
			m.tell(Service, serviceOf(s))
		}
	}
}

// takeOutLocked takes out the slice of a name and a Service.
func (m *Mirror) takeOutLocked(old *discoveryv1.EndpointSlice) {
	key := serviceOf(old)
	if had := m.slices[key][old.Name]; had != nil {
		m.leaving.countLocked(had, -1)
	}
	delete(m.slices[key], old.Name)
	if len(m.slices[key]) == 0 {
		delete(m.slices, key)
	}
}

// drop removes what the informer does not have.
func drop[T interface {
	api.Object
	comparable
}](m *Mirror, topic Topic, from map[Key]T, have *client.Informer[T]) {
	m.mu.RLock()
	all := values(from)
	m.mu.RUnlock()
	for _, obj := range all {
		if _, ok := have.Get(obj.GetNamespace(), obj.GetName()); ok {
			continue
		}
		m.mu.Lock()
		gone := from[keyOf(obj)] == obj // or one of the name was made since
		if gone {
			delete(from, keyOf(obj))
		}
		m.mu.Unlock()
		if gone {
			m.tell(topic, keyOf(obj))
		}
	}
}

// dropSlices does the same; a slice may be another Service's by now.
func (m *Mirror) dropSlices(have *client.Informer[*discoveryv1.EndpointSlice]) {
	m.mu.RLock()
	var gone []*discoveryv1.EndpointSlice
	for service, slices := range m.slices {
		for _, s := range slices {
			if now, ok := have.Get(s.Namespace, s.Name); !ok || serviceOf(now) != service {
				gone = append(gone, s)
			}
		}
	}
	m.mu.RUnlock()
	for _, s := range gone {
		m.mu.Lock()
		if m.slices[serviceOf(s)][s.Name] == s { // or one of the name was made since
			m.takeOutLocked(s)
			m.leaving.tellLocked()
		}
		m.mu.Unlock()
		m.tell(Service, serviceOf(s))
	}
}
