// Package match decides whether a webhook or policy is about a write: by its
// rules, selectors and match policy. Both kinds of configuration share it.
//
// Criteria are compiled once from a configuration and immutable; a Matcher
// reads the catalogue of kinds and the cache's namespaces and keeps nothing.
package match

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Criteria say which writes a configuration is about.
type Criteria struct {
	rules, exclude []admissionregistrationv1.NamedRuleWithOperations
	everything     bool // no rules at all mean every resource
	equivalent     bool
	namespace      labels.Selector
	object         labels.Selector
	broken         error // of a selector
}

// OfWebhook are a webhook's criteria.
func OfWebhook(rules []admissionregistrationv1.RuleWithOperations, policy *admissionregistrationv1.MatchPolicyType, namespaces, objects *metav1.LabelSelector) *Criteria {
	c := &Criteria{equivalent: isEquivalent(policy)}
	for _, r := range rules {
		c.rules = append(c.rules, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: r})
	}
	c.selectors(namespaces, objects)
	return c
}

// OfPolicy are the criteria of a policy or binding.
func OfPolicy(m *admissionregistrationv1.MatchResources) *Criteria {
	if m == nil {
		m = &admissionregistrationv1.MatchResources{}
	}
	c := &Criteria{rules: m.ResourceRules, exclude: m.ExcludeResourceRules, everything: len(m.ResourceRules) == 0, equivalent: isEquivalent(m.MatchPolicy)}
	c.selectors(m.NamespaceSelector, m.ObjectSelector)
	return c
}

func isEquivalent(p *admissionregistrationv1.MatchPolicyType) bool {
	return p != nil && *p == admissionregistrationv1.Equivalent
}

// selectors reads both; one that is not there selects everything.
func (c *Criteria) selectors(namespaces, objects *metav1.LabelSelector) {
	read := func(s *metav1.LabelSelector) labels.Selector {
		if s == nil {
			return labels.Everything()
		}
		out, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			c.broken = apierrors.NewInternalError(err)
		}
		return out
	}
	c.namespace, c.object = read(namespaces), read(objects)
}

// Matcher compares writes with criteria. Safe for concurrent use.
type Matcher struct {
	kinds      *catalog.Catalog
	namespaces *cache.Resource
}

// New makes a matcher.
func New(kinds *catalog.Catalog, objects *cache.Cache) *Matcher {
	m := &Matcher{kinds: kinds}
	if k := kinds.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")); k != nil {
		m.namespaces = objects.Of(k)
	}
	return m
}

// Match gives the kind as which the write is to be shown; nil where the
// configuration is not about the write. An error is that of a selector or of
// a namespace that is not there.
func (m *Matcher) Match(a *admission.Attributes, c *Criteria) (*api.Kind, error) {
	if k := m.byRules(a, c, c.exclude); k != nil {
		return nil, nil
	}
	shown := a.Kind
	if !c.everything {
		if shown = m.byRules(a, c, c.rules); shown == nil {
			return nil, nil
		}
	}
	if c.broken != nil {
		return nil, c.broken
	}
	inNamespace, err := m.namespaceMatches(a, c.namespace)
	if err == nil && !inNamespace || !objectMatches(a, c.object) {
		return nil, nil
	}
	return shown, err
}

// byRules finds the first rule about the write, in its own version and then in
// those that are stored alike.
func (m *Matcher) byRules(a *admission.Attributes, c *Criteria, rules []admissionregistrationv1.NamedRuleWithOperations) *api.Kind {
	gvr := a.Kind.GVR()
	for i := range rules {
		if matches(&rules[i], a, gvr) {
			return a.Kind
		}
	}
	if !c.equivalent || len(rules) == 0 {
		return nil
	}
	for i := range rules {
		for _, k := range m.equivalents(a.Kind, gvr, &rules[i]) {
			if matches(&rules[i], a, k.GVR()) {
				return k
			}
		}
	}
	return nil
}

// equivalents are the other kinds that show the same stored objects and that
// the rule may name.
func (m *Matcher) equivalents(of *api.Kind, gvr schema.GroupVersionResource, rule *admissionregistrationv1.NamedRuleWithOperations) []*api.Kind {
	if !slices.ContainsFunc(rule.Resources, func(r string) bool { name, _, _ := strings.Cut(r, "/"); return name == "*" || name == gvr.Resource }) {
		return nil
	}
	var out []*api.Kind
	for _, kinds := range [][]*api.Kind{m.kinds.Kinds(), m.kinds.Custom()} {
		for _, k := range kinds {
			if k != of && k.Stored() == of.Stored() {
				out = append(out, k)
			}
		}
	}
	return out
}

// Namespace finds a namespace by name; upstream's error where it is not there.
func (m *Matcher) Namespace(name string) (*corev1.Namespace, error) {
	if m.namespaces != nil {
		if item, found := m.namespaces.Get("", name); found {
			return item.Object.(*corev1.Namespace), nil
		}
	}
	return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
}

func (m *Matcher) namespaceMatches(a *admission.Attributes, s labels.Selector) (bool, error) {
	if s.Empty() || a.Namespace == "" && !admission.IsNamespace(a.Kind) {
		return true, nil // cluster-scoped objects are never exempt
	}
	if admission.IsNamespace(a.Kind) && a.Subresource == "" && (a.Operation == admission.Create || a.Operation == admission.Update) {
		return s.Matches(labelsOf(a.Object)), nil
	}
	ns, err := m.Namespace(a.RequestNamespace())
	if err != nil {
		return false, err
	}
	return s.Matches(labels.Set(ns.Labels)), nil
}

func objectMatches(a *admission.Attributes, s labels.Selector) bool {
	if s.Empty() {
		return true
	}
	for _, obj := range []runtime.Object{a.Object, a.Old} {
		if obj == nil {
			continue
		}
		if _, err := meta.Accessor(obj); err == nil && s.Matches(labelsOf(obj)) {
			return true
		}
	}
	return false
}

func labelsOf(obj runtime.Object) labels.Set {
	if acc, err := meta.Accessor(obj); err == nil {
		return acc.GetLabels()
	}
	return nil
}
