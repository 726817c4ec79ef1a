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

// Deployment rolls pods from one template to the next through replica sets.
func Deployment() *api.Kind {
	return api.Spec[*appsv1.Deployment]{
		Group: group, Version: version, Name: "Deployment",
		Resource: "deployments", Singular: "deployment", ShortNames: []string{"deploy"}, Categories: all(),
		Namespaced: true,
		New:        func() *appsv1.Deployment { return &appsv1.Deployment{} },
		NewList:    func() runtime.Object { return &appsv1.DeploymentList{} },
		Main:       deploymentRules(), Status: deploymentStatusRules(),
		Subresources: []api.Subresource{scaleOf(api.ScaleOf{
			Get:          deploymentScale,
			Set:          func(obj api.Object, n int32) { obj.(*appsv1.Deployment).Spec.Replicas = &n },
			ReplicasPath: []string{"spec", "replicas"},
		})},
		Columns: deploymentColumns(), Row: deploymentRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func deploymentScale(obj api.Object) (spec, status int32, selector string) {
	d := obj.(*appsv1.Deployment)
	return optional.Value(d.Spec.Replicas), d.Status.Replicas, template.SelectorText(d.Spec.Selector)
}

func deploymentColumns() []api.Column {
	status := appsv1.DeploymentStatus{}
	return columns(
		[]api.Column{
			column.Name(),
			column.Text("Ready", "Number of the pod with ready state"),
			column.Text("Up-to-date", column.Doc(status, "updatedReplicas")),
			column.Text("Available", column.Doc(status, "availableReplicas")),
			column.Age(),
		},
		template.Columns(),
		[]api.Column{column.Wide(column.Text("Selector", column.Doc(appsv1.DeploymentSpec{}, "selector")))},
	)
}

func deploymentRow(d *appsv1.Deployment, now time.Time) []any {
	names, images := template.Cells(&d.Spec.Template.Spec)
	selector := template.SelectorText(d.Spec.Selector)
	return []any{
		d.Name, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, optional.Value(d.Spec.Replicas)),
		int64(d.Status.UpdatedReplicas), int64(d.Status.AvailableReplicas),
		column.Since(d.CreationTimestamp, now), names, images, selector,
	}
}
