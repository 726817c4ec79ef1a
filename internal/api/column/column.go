// Package column makes the columns and cells of tables, as servers of
// Kubernetes print them for kubectl get.
//
// Descriptions of columns come from the field documentation that k8s.io/api
// carries, so they are always those of the linked version.
package column

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/knarr-io/knarr/internal/api"
)

// Documented is an API type that knows the documentation of its fields by
// JSON name; the empty name is the type itself.
type Documented interface {
	SwaggerDoc() map[string]string
}

// Doc is the documentation of a type's field.
func Doc(of Documented, jsonName string) string { return of.SwaggerDoc()[jsonName] }

// Text is a column of strings that is always shown.
func Text(name, description string) api.Column {
	return api.Column{Name: name, Type: "string", Description: description}
}

// Number is a column of integers that is always shown.
func Number(name, description string) api.Column {
	return api.Column{Name: name, Type: "integer", Description: description}
}

// Wide makes the column one that only wide output shows.
func Wide(c api.Column) api.Column {
	c.Priority = 1
	return c
}

// Name is the first column of nearly every kind.
func Name() api.Column {
	return api.Column{Name: "Name", Type: "string", Format: "name", Description: Doc(metav1.ObjectMeta{}, "name")}
}

// Age shows how long ago the object was created.
func Age() api.Column { return Text("Age", Doc(metav1.ObjectMeta{}, "creationTimestamp")) }

// None is the cell of an unset value.
const None = "<none>"

// Since is the cell of an age, such as 5m or 2d3h.
func Since(t metav1.Time, now time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

// OrNone is the text, or None where it is empty.
func OrNone(s string) string {
	if s == "" {
		return None
	}
	return s
}

// Labels is a label map as one cell.
func Labels(l map[string]string) string { return OrNone(labels.FormatLabels(l)) }

// Selector is a label selector as one cell.
func Selector(s *metav1.LabelSelector) string { return metav1.FormatLabelSelector(s) }

// Joined is a list as one cell.
func Joined(items []string) string { return strings.Join(items, ",") }
