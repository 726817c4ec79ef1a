package apps

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/template"
)

// DaemonSet keeps one pod on every matching node.
func DaemonSet() *api.Kind {
	return api.Spec[*appsv1.DaemonSet]{
		Group: group, Version: version, Name: "DaemonSet",
		Resource: "daemonsets", Singular: "daemonset", ShortNames: []string{"ds"}, Categories: all(),
		Namespaced: true,
		New:        func() *appsv1.DaemonSet { return &appsv1.DaemonSet{} },
		NewList:    func() runtime.Object { return &appsv1.DaemonSetList{} },
		Main:       daemonSetRules(), Status: daemonSetStatusRules(),
		Columns: daemonSetColumns(), Row: daemonSetRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func daemonSetColumns() []api.Column {
	status := appsv1.DaemonSetStatus{}
	return columns(
		[]api.Column{
			column.Name(),
			column.Number("Desired", column.Doc(status, "desiredNumberScheduled")),
			column.Number("Current", column.Doc(status, "currentNumberScheduled")),
			column.Number("Ready", column.Doc(status, "numberReady")),
			column.Number("Up-to-date", column.Doc(status, "updatedNumberScheduled")),
			column.Number("Available", column.Doc(status, "numberAvailable")),
			column.Text("Node Selector", column.Doc(corev1.PodSpec{}, "nodeSelector")),
			column.Age(),
		},
		template.Columns(),
		[]api.Column{column.Wide(column.Text("Selector", column.Doc(appsv1.DaemonSetSpec{}, "selector")))},
	)
}

func daemonSetRow(d *appsv1.DaemonSet, now time.Time) []any {
	names, images := template.Cells(&d.Spec.Template.Spec)
	s := d.Status
	return []any{
		d.Name, int64(s.DesiredNumberScheduled), int64(s.CurrentNumberScheduled), int64(s.NumberReady),
		int64(s.UpdatedNumberScheduled), int64(s.NumberAvailable),
		column.Labels(d.Spec.Template.Spec.NodeSelector), column.Since(d.CreationTimestamp, now),
		names, images, column.Selector(d.Spec.Selector),
	}
}
