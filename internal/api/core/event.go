package core

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// eventTTL is how long an event is kept after it was last written.
const eventTTL = time.Hour

func eventKind() *api.Kind {
	return api.Spec[*corev1.Event]{
		Version: version, Name: "Event", Resource: "events", Singular: "event",
		ShortNames: []string{"ev"},
		Namespaced: true,
		New:        func() *corev1.Event { return &corev1.Event{} },
		NewList:    func() runtime.Object { return &corev1.EventList{} },
		Main: api.RulesOf[*corev1.Event]{
			Meta:           api.MetaLast,
			Validate:       validateEvent,
			ValidateUpdate: validateEventUpdate,
		},
		Columns: []api.Column{
			column.Text("Last Seen", "The time at which the most recent occurrence of this event was recorded."),
			column.Text("Type", column.Doc(corev1.Event{}, "type")),
			column.Text("Reason", column.Doc(corev1.Event{}, "reason")),
			column.Text("Object", column.Doc(corev1.Event{}, "involvedObject")),
			column.Wide(column.Text("Subobject", column.Doc(corev1.ObjectReference{}, "fieldPath"))),
			column.Wide(column.Text("Source", column.Doc(corev1.Event{}, "source"))),
			column.Text("Message", column.Doc(corev1.Event{}, "message")),
			column.Wide(column.Text("First Seen", column.Doc(corev1.Event{}, "firstTimestamp"))),
			column.Wide(column.Text("Count", column.Doc(corev1.Event{}, "count"))),
			column.Wide(column.Name()),
		},
		Row:                 eventRow,
		Fields:              eventFields,
		FieldNames:          eventFieldNames(),
		IndexedFields:       []string{"involvedObject.uid"},
		TTL:                 func(*corev1.Event) time.Duration { return eventTTL },
		UnconditionalUpdate: true,
		CreateOnUpdate:      true,
	}.Kind()
}

// eventRow is an event's line in a table, of this group and of events.k8s.io.
func eventRow(e *corev1.Event, now time.Time) []any {
	first := column.Since(e.FirstTimestamp, now)
	if e.FirstTimestamp.IsZero() {
		first = sinceMicro(e, now)
	}
	last := first
	if !e.LastTimestamp.IsZero() {
		last = column.Since(e.LastTimestamp, now)
	}
	count := int64(e.Count)
	switch {
	case e.Series != nil:
		last = column.Since(asTime(e.Series.LastObservedTime), now)
		count = int64(e.Series.Count)
	case count == 0:
		// Events of the new form without a series happened once.
		count = 1
	}
	target := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		target += "/" + e.InvolvedObject.Name
	}
	return []any{
		last, e.Type, e.Reason, target, e.InvolvedObject.FieldPath, eventSource(e),
		strings.TrimSpace(e.Message), first, count, e.Name,
	}
}

func sinceMicro(e *corev1.Event, now time.Time) string { return column.Since(asTime(e.EventTime), now) }

func eventSource(e *corev1.Event) string {
	component, host := e.Source.Component, e.Source.Host
	if component == "" {
		component = e.ReportingController
	}
	if host == "" {
		host = e.ReportingInstance
	}
	if host == "" {
		return component
	}
	return component + ", " + host
}

func eventFieldNames() []string {
	return []string{
		"involvedObject.apiVersion", "involvedObject.fieldPath", "involvedObject.kind", "involvedObject.name",
		"involvedObject.namespace", "involvedObject.resourceVersion", "involvedObject.uid",
		"reason", "reportingComponent", "source", "type",
	}
}

func eventFields(e *corev1.Event) fields.Set {
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"involvedObject.kind":            e.InvolvedObject.Kind,
		"involvedObject.name":            e.InvolvedObject.Name,
		"involvedObject.namespace":       e.InvolvedObject.Namespace,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.uid":             string(e.InvolvedObject.UID),
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}
