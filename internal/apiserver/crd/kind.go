package crd

import (
	"fmt"
	"slices"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"

	"github.com/knarr-io/knarr/internal/api"
)

// verbs are those of every custom resource, in the order of upstream's
// discovery.
func verbs() []string {
	return []string{"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"}
}

// declare makes the version's kind, without its view.
func (v *versioned) declare(names v1.CustomResourceDefinitionNames, preferred bool) *api.Kind {
	crd := v.definition.crd
	k := &api.Kind{
		GVK: v.gvk, Resource: names.Plural, Singular: names.Singular, ShortNames: names.ShortNames, Categories: names.Categories,
		Namespaced: crd.Spec.Scope == v1.NamespaceScoped, Verbs: verbs(),
		New: func() api.Object { return v.empty() },
		NewList: func() runtime.Object {
			return &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": v.gvk.GroupVersion().String(), "kind": names.ListKind}}
		},
		Main: v.mainRules(),
		Custom: &api.Custom{
			Definition: crd.Name, ListKind: names.ListKind, Preferred: preferred, Storage: v.spec.Storage,
			Terminating: v.definition.terminating.Load,
			Coerce:      v.coerceBody, Restore: v.restore, Compact: v.definition.sets.compact, Manager: v.manager, Types: v.definition.types,
		},
	}
	if v.definition.hook != nil {
		k.Custom.Convert = v.definition.hook.convertTo(v)
	}
	if v.spec.Deprecated {
		k.Deprecated = v.deprecation()
	}
	v.declareFields(k)
	v.declareColumns(k)
	if sub := v.spec.Subresources; sub != nil {
		if sub.Status != nil {
			rules := v.statusRules()
			k.Status = &rules
		}
		if sub.Scale != nil {
			k.Subresources = []api.Subresource{scaleOf(sub.Scale)}
		}
	}
	return k
}

func (v *versioned) empty() *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: make(map[string]any, 4)}
	u.SetGroupVersionKind(v.gvk)
	return u
}

// hasStatus tells whether the status has an endpoint of its own.
func (v *versioned) hasStatus() bool {
	return v.spec.Subresources != nil && v.spec.Subresources.Status != nil
}

func (v *versioned) scale() *v1.CustomResourceSubresourceScale {
	if v.spec.Subresources == nil {
		return nil
	}
	return v.spec.Subresources.Scale
}

// deprecation is the warning of a deprecated version: its own, or one that
// names the newest version that is not.
func (v *versioned) deprecation() string {
	if v.spec.DeprecationWarning != nil {
		return *v.spec.DeprecationWarning
	}
	crd := v.definition.crd
	text := fmt.Sprintf("%s/%s %s is deprecated", crd.Spec.Group, v.spec.Name, crd.Spec.Names.Kind)
	i := slices.IndexFunc(v.definition.served(), func(other *versioned) bool {
		return !other.spec.Deprecated && version.CompareKubeAwareVersionStrings(v.spec.Name, other.spec.Name) < 0
	})
	if i < 0 {
		return text
	}
	return fmt.Sprintf("%s; use %s/%s %s", text, crd.Spec.Group, v.definition.served()[i].spec.Name, crd.Spec.Names.Kind)
}

func scaleOf(s *v1.CustomResourceSubresourceScale) api.Subresource {
	desired, observed := split(s.SpecReplicasPath), split(s.StatusReplicasPath)
	return api.Subresource{
		Name: "scale", GVK: autoscalingv1.SchemeGroupVersion.WithKind("Scale"), Verbs: []string{"get", "patch", "update"},
		Scale: &api.ScaleOf{
			ReplicasPath: desired,
			Has: func(obj api.Object) bool {
				_, found, err := unstructured.NestedInt64(content(obj), desired...)
				return found && err == nil
			},
			Get: func(obj api.Object) (spec, status int32, selector string) {
				spec, status = number(obj, desired), number(obj, observed)
				if s.LabelSelectorPath != nil {
					selector, _, _ = unstructured.NestedString(content(obj), split(*s.LabelSelectorPath)...)
				}
				return spec, status, selector
			},
			Set: func(obj api.Object, n int32) {
				// Fails where the path leads through something that is no
				// object; then validation refuses the whole.
				_ = unstructured.SetNestedField(content(obj), int64(n), desired...)
			},
		},
	}
}

func number(obj api.Object, path []string) int32 {
	n, _, err := unstructured.NestedInt64(content(obj), path...)
	if err != nil {
		return 0
	}
	return int32(n)
}

func content(obj api.Object) map[string]any { return obj.(*unstructured.Unstructured).Object }
