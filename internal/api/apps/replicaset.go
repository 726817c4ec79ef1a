package apps

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
)

// ReplicaSet keeps a number of equal pods.
func ReplicaSet() *api.Kind {
	return api.Spec[*appsv1.ReplicaSet]{
		Group: group, Version: version, Name: "ReplicaSet",
		Resource: "replicasets", Singular: "replicaset", ShortNames: []string{"rs"}, Categories: all(),
		Namespaced: true,
		New:        func() *appsv1.ReplicaSet { return &appsv1.ReplicaSet{} },
		NewList:    func() runtime.Object { return &appsv1.ReplicaSetList{} },
		Main:       replicaSetRules(), Status: replicaSetStatusRules(),
		Subresources: []api.Subresource{scaleOf(api.ScaleOf{
			Get:          replicaSetScale,
			Set:          func(obj api.Object, n int32) { obj.(*appsv1.ReplicaSet).Spec.Replicas = &n },
			ReplicasPath: []string{"spec", "replicas"},
		})},
		Columns: replicaSetColumns(), Row: replicaSetRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func replicaSetScale(obj api.Object) (spec, status int32, selector string) {
	r := obj.(*appsv1.ReplicaSet)
	return optional.Value(r.Spec.Replicas), r.Status.Replicas, template.SelectorText(r.Spec.Selector)
}

func replicaSetColumns() []api.Column {
	status := appsv1.ReplicaSetStatus{}
	return columns(
		[]api.Column{
			column.Name(),
			column.Number("Desired", column.Doc(appsv1.ReplicaSetSpec{}, "replicas")),
			column.Number("Current", column.Doc(status, "replicas")),
			column.Number("Ready", column.Doc(status, "readyReplicas")),
			column.Age(),
		},
		template.Columns(),
		[]api.Column{column.Wide(column.Text("Selector", column.Doc(appsv1.ReplicaSetSpec{}, "selector")))},
	)
}

func replicaSetRow(r *appsv1.ReplicaSet, now time.Time) []any {
	names, images := template.Cells(&r.Spec.Template.Spec)
	return []any{
		r.Name, int64(optional.Value(r.Spec.Replicas)), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas),
		column.Since(r.CreationTimestamp, now), names, images, column.Selector(r.Spec.Selector),
	}
}
