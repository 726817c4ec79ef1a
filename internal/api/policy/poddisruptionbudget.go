// Package policy declares the kinds of the API group policy. It holds no state.
package policy

import (
	"time"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// Kinds are the kinds of policy/v1.
func Kinds() []*api.Kind { return []*api.Kind{PodDisruptionBudget()} }

// PodDisruptionBudget bounds how many pods of a set may be evicted at once.
func PodDisruptionBudget() *api.Kind {
	return api.Spec[*policyv1.PodDisruptionBudget]{
		Group: "policy", Version: "v1", Name: "PodDisruptionBudget",
		Resource: "poddisruptionbudgets", Singular: "poddisruptionbudget", ShortNames: []string{"pdb"},
		Namespaced: true,
		New:        func() *policyv1.PodDisruptionBudget { return &policyv1.PodDisruptionBudget{} },
		NewList:    func() runtime.Object { return &policyv1.PodDisruptionBudgetList{} },
		Main:       rules(), Status: statusRules(),
		Columns: []api.Column{
			column.Name(),
			column.Text("Min Available", "The minimum number of pods that must be available."),
			column.Text("Max Unavailable", "The maximum number of pods that may be unavailable."),
			column.Number("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time."),
			column.Age(),
		},
		Row: row,
	}.Kind()
}

func row(b *policyv1.PodDisruptionBudget, now time.Time) []any {
	return []any{
		b.Name, bound(b.Spec.MinAvailable), bound(b.Spec.MaxUnavailable),
		int64(b.Status.DisruptionsAllowed), column.Since(b.CreationTimestamp, now),
	}
}

func bound(v *intstr.IntOrString) string {
	if v == nil {
		return "N/A"
	}
	return v.String()
}
