// Package scheduling declares the kinds of scheduling.k8s.io. It holds no
// state.
package scheduling

import (
	"time"

	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// Kinds are the kinds of scheduling.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{PriorityClass()} }

// PriorityClass names a priority of pods.
func PriorityClass() *api.Kind {
	return api.Spec[*schedulingv1.PriorityClass]{
		Group: "scheduling.k8s.io", Version: "v1", Name: "PriorityClass",
		Resource: "priorityclasses", Singular: "priorityclass", ShortNames: []string{"pc"},
		New:     func() *schedulingv1.PriorityClass { return &schedulingv1.PriorityClass{} },
		NewList: func() runtime.Object { return &schedulingv1.PriorityClassList{} },
		Main:    rules(),
		Columns: columns(), Row: row,
		UnconditionalUpdate: true,
	}.Kind()
}

func columns() []api.Column {
	class := schedulingv1.PriorityClass{}
	return []api.Column{
		column.Name(),
		column.Number("Value", column.Doc(class, "value")),
		{Name: "Global-Default", Type: "boolean", Description: column.Doc(class, "globalDefault")},
		column.Age(),
		column.Text("PreemptionPolicy", column.Doc(class, "preemptionPolicy")),
	}
}

func row(c *schedulingv1.PriorityClass, now time.Time) []any {
	policy := ""
	if c.PreemptionPolicy != nil {
		policy = string(*c.PreemptionPolicy)
	}
	return []any{c.Name, int64(c.Value), c.GlobalDefault, column.Since(c.CreationTimestamp, now), policy}
}
