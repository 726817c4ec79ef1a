package core

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func namespaceKind() *api.Kind {
	return api.Spec[*corev1.Namespace]{
		Version: version, Name: "Namespace", Resource: "namespaces", Singular: "namespace",
		ShortNames: []string{"ns"},
		Verbs:      []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		New:        func() *corev1.Namespace { return &corev1.Namespace{} },
		NewList:    func() runtime.Object { return &corev1.NamespaceList{} },
		Main: api.RulesOf[*corev1.Namespace]{
			MetaAgain:     true,
			Default:       defaultNamespace,
			PrepareCreate: prepareNamespace,
			PrepareUpdate: func(n, old *corev1.Namespace) {
				n.Spec.Finalizers = old.Spec.Finalizers
				n.Status = old.Status
			},
			Validate: validateNamespace,
			NameRule: validate.Label,
		},
		Status: &api.RulesOf[*corev1.Namespace]{
			Default:        defaultNamespace,
			PrepareUpdate:  func(n, old *corev1.Namespace) { n.Spec = old.Spec },
			ValidateUpdate: func(n, _ *corev1.Namespace) field.ErrorList { return validateNamespacePhase(n) },
		},
		Subresources: []api.Subresource{
			{Name: "finalize", GVK: gvk("Namespace"), Verbs: []string{"update"}, Rules: api.RulesOf[*corev1.Namespace]{
				Default:        defaultNamespace,
				PrepareUpdate:  func(n, old *corev1.Namespace) { n.Status = old.Status },
				ValidateUpdate: func(n, _ *corev1.Namespace) field.ErrorList { return validateFinalize(n) },
			}.Erase()},
		},
		Columns: []api.Column{column.Name(), column.Text("Status", "The status of the namespace"), column.Age()},
		Row: func(n *corev1.Namespace, now time.Time) []any {
			return []any{n.Name, string(n.Status.Phase), column.Since(n.CreationTimestamp, now)}
		},
		Fields: func(n *corev1.Namespace) fields.Set {
			return fields.Set{"status.phase": string(n.Status.Phase)}
		},
		FieldNames:          []string{"status.phase"},
		UnconditionalUpdate: true,
	}.Kind()
}

func defaultNamespace(n *corev1.Namespace) {
	orSet(&n.Status.Phase, corev1.NamespaceActive)
	if n.Name == "" {
		return
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[corev1.LabelMetadataName] = n.Name
}

// prepareNamespace runs when a generated name is known.
func prepareNamespace(n *corev1.Namespace) {
	n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
		n.Spec.Finalizers = append(slices.Clip(n.Spec.Finalizers), corev1.FinalizerKubernetes)
	}
	defaultNamespace(n)
}

func validateNamespace(n *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	for _, name := range n.Spec.Finalizers {
		errs = append(errs, validate.Finalizer(string(name), field.NewPath("spec", "finalizers"))...)
	}
	return errs
}

func validateFinalize(n *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	for i, name := range n.Spec.Finalizers {
		errs = append(errs, validate.Finalizer(string(name), field.NewPath("spec", "finalizers").Index(i))...)
	}
	return errs
}

func validateNamespacePhase(n *corev1.Namespace) field.ErrorList {
	path := field.NewPath("status", "Phase")
	switch {
	case n.DeletionTimestamp.IsZero() && n.Status.Phase != corev1.NamespaceActive:
		return field.ErrorList{field.Invalid(path, n.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty")}
	case !n.DeletionTimestamp.IsZero() && n.Status.Phase != corev1.NamespaceTerminating:
		return field.ErrorList{field.Invalid(path, n.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")}
	}
	return nil
}
