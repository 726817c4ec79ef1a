// Package metrics declares the kinds of metrics.k8s.io: what nodes and pods
// use at present. They are answered from samples and never stored, and the
// group yields to another server that registers it; so they do not stand in
// the catalogue of built-in kinds.
package metrics

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/knarr-io/knarr/internal/api"
)

// Kinds are the kinds of metrics.k8s.io/v1beta1.
func Kinds() []*api.Kind { return []*api.Kind{Nodes(), Pods()} }

// Nodes is the kind NodeMetrics.
func Nodes() *api.Kind {
	return api.Spec[*v1beta1.NodeMetrics]{
		Group: v1beta1.SchemeGroupVersion.Group, Version: v1beta1.SchemeGroupVersion.Version, Name: "NodeMetrics",
		Resource: "nodes", Verbs: []string{"get", "list"}, Virtual: true,
		New:     func() *v1beta1.NodeMetrics { return &v1beta1.NodeMetrics{} },
		NewList: func() runtime.Object { return &v1beta1.NodeMetricsList{} },
		Columns: columns(),
		Row: func(m *v1beta1.NodeMetrics, _ time.Time) []any {
			return []any{m.Name, m.Usage.Cpu().String(), m.Usage.Memory().String(), m.Window.Duration.String()}
		},
	}.Kind()
}

// Pods is the kind PodMetrics.
func Pods() *api.Kind {
	return api.Spec[*v1beta1.PodMetrics]{
		Group: v1beta1.SchemeGroupVersion.Group, Version: v1beta1.SchemeGroupVersion.Version, Name: "PodMetrics",
		Resource: "pods", Namespaced: true, Verbs: []string{"get", "list"}, Virtual: true,
		New:     func() *v1beta1.PodMetrics { return &v1beta1.PodMetrics{} },
		NewList: func() runtime.Object { return &v1beta1.PodMetricsList{} },
		Columns: columns(),
		Row: func(m *v1beta1.PodMetrics, _ time.Time) []any {
			if len(m.Containers) == 0 {
				return []any{m.Name, "0", "0", m.Window.Duration.String()}
			}
			cpu, memory := m.Containers[0].Usage.Cpu().DeepCopy(), m.Containers[0].Usage.Memory().DeepCopy()
			for _, c := range m.Containers[1:] {
				cpu.Add(*c.Usage.Cpu())
				memory.Add(*c.Usage.Memory())
			}
			return []any{m.Name, cpu.String(), memory.String(), m.Window.Duration.String()}
		},
	}.Kind()
}

// columns are those that metrics-server prints.
func columns() []api.Column {
	return []api.Column{
		{Name: "Name", Type: "string", Format: "name", Description: "Name of the resource"},
		{Name: "cpu", Type: "string", Format: "quantity"}, {Name: "memory", Type: "string", Format: "quantity"},
		{Name: "Window", Type: "string", Format: "duration"},
	}
}
