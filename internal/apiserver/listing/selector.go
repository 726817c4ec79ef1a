package listing

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
)

const (
	nameField      = "metadata.name"
	namespaceField = "metadata.namespace"
)

// Selector tells which objects of a kind are meant.
type Selector struct {
	// Namespace bounds the selection; empty: all.
	Namespace string
	// Name is set where only one name can match.
	Name string

	labels     labels.Selector // nil: every label
	fields     fields.Selector // nil: every field
	kind       *api.Kind
	namespaced bool
}

// Everything tells whether all objects of the namespace match.
func (s Selector) Everything() bool { return s.labels == nil && s.fields == nil }

// Namespaced tells whether the kind's objects lie in namespaces.
func (s Selector) Namespaced() bool { return s.namespaced }

// Restrict narrows the selection to one name.
func (s *Selector) Restrict(name string) {
	only := fields.OneTermEqualSelector(nameField, name)
	s.Name = name
	if s.fields == nil {
		s.fields = only
		return
	}
	s.fields = fields.AndSelectors(s.fields, only)
}

// ParseSelector reads label and field selectors, and refuses fields that the
// kind does not offer.
func ParseSelector(k *api.Kind, labelText, fieldText string) (Selector, error) {
	out := Selector{kind: k, namespaced: k.Namespaced}
	if labelText != "" {
		parsed, err := labels.Parse(labelText)
		if err != nil {
			return out, errors.NewBadRequest(err.Error())
		}
		if !parsed.Empty() {
			out.labels = parsed
		}
	}
	if fieldText == "" {
		return out, nil
	}
	parsed, err := fields.ParseSelector(fieldText)
	if err != nil {
		return out, errors.NewBadRequest(err.Error())
	}
	for _, r := range parsed.Requirements() {
		if err := checkField(k, r.Field); err != nil {
			return out, err
		}
	}
	if name, ok := parsed.RequiresExactMatch(nameField); ok {
		out.Name = name
	}
	if !parsed.Empty() {
		out.fields = parsed
	}
	return out, nil
}

func checkField(k *api.Kind, name string) error {
	if name == nameField || name == namespaceField || slices.Contains(k.FieldNames, name) {
		return nil
	}
	switch {
	case k.Custom != nil:
	case len(k.FieldNames) == 0:
		return errors.NewBadRequest(fmt.Sprintf("%q is not a known field selector: only %q, %q", name, nameField, namespaceField))
	case k.GVK.Group == "resource.k8s.io":
		return errors.NewBadRequest(fmt.Sprintf("field label not supported for %s, Kind=%s: %s", k.GVK.GroupVersion(), k.GVK.Kind, name))
	case k.GVK.Group == "batch":
		return errors.NewBadRequest(fmt.Sprintf("field label %q not supported for %s", name, k.GVK.Kind))
	}
	return errors.NewBadRequest("field label not supported: " + name)
}

// Matches tells whether an object is selected. The object is of the kind that
// the selector was parsed for.
func (s Selector) Matches(obj api.Object) bool {
	if s.Namespace != "" && s.namespaced && obj.GetNamespace() != s.Namespace {
		return false
	}
	if s.labels != nil && !s.labels.Matches(labels.Set(obj.GetLabels())) {
		return false
	}
	return s.fields == nil || s.fields.Matches(fieldView{kind: s.kind, obj: obj})
}

// Exact finds a field of the given names whose value the selector fixes.
func (s Selector) Exact(names []string) (name, value string, ok bool) {
	if s.fields == nil {
		return "", "", false
	}
	for _, n := range names {
		if v, found := s.fields.RequiresExactMatch(n); found {
			return n, v, true
		}
	}
	return "", "", false
}

// fieldView reads an object's selectable fields by name.
type fieldView struct {
	kind *api.Kind
	obj  api.Object
}

// Has is part of fields.Fields.
func (v fieldView) Has(name string) bool { return true }

// Get is part of fields.Fields.
func (v fieldView) Get(name string) string {
	switch name {
	case nameField:
		return v.obj.GetName()
	case namespaceField:
		return v.obj.GetNamespace()
	}
	if v.kind.Fields == nil {
		return ""
	}
	return v.kind.Fields(v.obj)[name]
}
