// Package template holds what kinds with a pod template share: the columns
// that show it, its defaults and its checks. It is pure and holds no state.
package template

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// Columns are the wide columns of a template's containers.
func Columns() []api.Column {
	return []api.Column{
		column.Wide(column.Text("Containers", "Names of each container in the template.")),
		column.Wide(column.Text("Images", "Images referenced by each container in the template.")),
	}
}

// Cells are the cells for Columns.
func Cells(spec *corev1.PodSpec) (names, images string) {
	var n, i []string
	for _, c := range spec.Containers {
		n, i = append(n, c.Name), append(i, c.Image)
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}

// SelectorText is a label selector as a scale shows it; empty where it cannot
// be parsed.
func SelectorText(s *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return ""
	}
	return selector.String()
}
