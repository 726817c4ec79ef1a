// Package selection knows which pods each Service selects, and keeps that up
// to date pod by pod: what a change costs does not depend on how many pods or
// Services there are.
package selection

import (
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Map is the relation. Feed it every change of Services and pods; it names
// the Services that a change concerns. Safe for concurrent use.
type Map struct {
	mu struct {
		sync.Mutex
		services map[reconcile.Key]*service
		byPair   map[pair]map[reconcile.Key]struct{} // Services by one pair of their selector
	}
}

type service struct {
	selector map[string]string
	pair     pair
	pods     map[string]struct{} // names
}

// pair is a label in a namespace; every selected pod has it.
type pair struct{ namespace, key, value string }

// New makes an empty relation.
func New() *Map {
	m := &Map{}
	m.mu.services = make(map[reconcile.Key]*service)
	m.mu.byPair = make(map[pair]map[reconcile.Key]struct{})
	return m
}

// SetService takes a Service's selector; all are the pods there are, read only
// where the selector is new.
func (m *Map) SetService(svc *corev1.Service, all *client.Informer[*corev1.Pod]) {
	if !m.setSelector(svc) {
		return
	}
	selected := all.List(svc.Namespace, labels.Set(svc.Spec.Selector).AsSelectorPreValidated())
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.mu.services[reconcile.Key{Namespace: svc.Namespace, Name: svc.Name}]
	if s == nil {
		return // dropped meanwhile
	}
	for _, pod := range selected {
		s.pods[pod.Name] = struct{}{}
	}
}

// setSelector takes the selector, without pods; it tells whether there is a
// new one.
func (m *Map) setSelector(svc *corev1.Service) bool {
	key := reconcile.Key{Namespace: svc.Namespace, Name: svc.Name}
	m.mu.Lock()
	defer m.mu.Unlock()
	if have := m.mu.services[key]; have != nil && maps.Equal(have.selector, svc.Spec.Selector) {
		return false
	}
	m.dropLocked(key)
	if len(svc.Spec.Selector) == 0 {
		return false
	}
	s := &service{selector: svc.Spec.Selector, pair: pairOf(svc), pods: map[string]struct{}{}}
	m.mu.services[key] = s
	if m.mu.byPair[s.pair] == nil {
		m.mu.byPair[s.pair] = make(map[reconcile.Key]struct{})
	}
	m.mu.byPair[s.pair][key] = struct{}{}
	return true
}

// DropService forgets a Service.
func (m *Map) DropService(key reconcile.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropLocked(key)
}

func (m *Map) dropLocked(key reconcile.Key) {
	s := m.mu.services[key]
	if s == nil {
		return
	}
	delete(m.mu.services, key)
	delete(m.mu.byPair[s.pair], key)
	if len(m.mu.byPair[s.pair]) == 0 {
		delete(m.mu.byPair, s.pair)
	}
}

// SetPod takes a change of a pod (old or new nil: it came or went), and
// returns the Services that select it now or did before.
func (m *Map) SetPod(old, new *corev1.Pod) []reconcile.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	touched := map[reconcile.Key]struct{}{}
	if old != nil {
		m.matchLocked(old, func(key reconcile.Key, s *service) {
			touched[key] = struct{}{}
			delete(s.pods, old.Name)
		})
	}
	if new != nil {
		m.matchLocked(new, func(key reconcile.Key, s *service) {
			touched[key] = struct{}{}
			s.pods[new.Name] = struct{}{}
		})
	}
	out := make([]reconcile.Key, 0, len(touched))
	for key := range touched {
		out = append(out, key)
	}
	return out
}

func (m *Map) matchLocked(pod *corev1.Pod, fn func(reconcile.Key, *service)) {
	for k, v := range pod.Labels {
		for key := range m.mu.byPair[pair{pod.Namespace, k, v}] {
			s := m.mu.services[key]
			if matches(s.selector, pod.Labels) {
				fn(key, s)
			}
		}
	}
}

func matches(selector, have map[string]string) bool {
	for k, v := range selector {
		if w, ok := have[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// Pods are the pods that a Service selects.
func (m *Map) Pods(svc *corev1.Service, all *client.Informer[*corev1.Pod]) []*corev1.Pod {
	var out []*corev1.Pod
	for _, name := range m.names(reconcile.Key{Namespace: svc.Namespace, Name: svc.Name}) {
		pod, ok := all.Get(svc.Namespace, name)
		if ok && matches(svc.Spec.Selector, pod.Labels) { // the map may be a step behind
			out = append(out, pod)
		}
	}
	return out
}

func (m *Map) names(key reconcile.Key) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.mu.services[key]
	if s == nil {
		return nil
	}
	out := make([]string, 0, len(s.pods))
	for name := range s.pods {
		out = append(out, name)
	}
	return out
}

// pairOf picks the pair by which pods are looked up: the last in order, which
// is more often an application's name than a common first word.
func pairOf(svc *corev1.Service) pair {
	best := pair{namespace: svc.Namespace}
	for k, v := range svc.Spec.Selector {
		if k >= best.key {
			best.key, best.value = k, v
		}
	}
	return best
}
