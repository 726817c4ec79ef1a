package apps

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
)

// StatefulSet keeps pods with names and volumes of their own.
func StatefulSet() *api.Kind {
	return api.Spec[*appsv1.StatefulSet]{
		Group: group, Version: version, Name: "StatefulSet",
		Resource: "statefulsets", Singular: "statefulset", ShortNames: []string{"sts"}, Categories: all(),
		Namespaced: true,
		New:        func() *appsv1.StatefulSet { return &appsv1.StatefulSet{} },
		NewList:    func() runtime.Object { return &appsv1.StatefulSetList{} },
		Main:       statefulSetRules(), Status: statefulSetStatusRules(),
		Subresources: []api.Subresource{scaleOf(api.ScaleOf{
			Get:          statefulSetScale,
			Set:          func(obj api.Object, n int32) { obj.(*appsv1.StatefulSet).Spec.Replicas = &n },
			ReplicasPath: []string{"spec", "replicas"},
		})},
		Columns: columns([]api.Column{
			column.Name(), column.Text("Ready", "Number of the pod with ready state"), column.Age(),
		}, template.Columns()),
		Row:                 statefulSetRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func statefulSetScale(obj api.Object) (spec, status int32, selector string) {
	s := obj.(*appsv1.StatefulSet)
	return optional.Value(s.Spec.Replicas), s.Status.Replicas, template.SelectorText(s.Spec.Selector)
}

func statefulSetRow(s *appsv1.StatefulSet, now time.Time) []any {
	names, images := template.Cells(&s.Spec.Template.Spec)
	return []any{
		s.Name, fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, optional.Value(s.Spec.Replicas)),
		column.Since(s.CreationTimestamp, now), names, images,
	}
}
