// Package events declares the kinds of events.k8s.io: the newer form of
// events, stored as those of the core group. It holds no state.
package events

import (
	"maps"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

// Kinds are the kinds of events.k8s.io/v1, as views of core events.
func Kinds(core *api.Kind) []*api.Kind { return []*api.Kind{event(core)} }

func event(core *api.Kind) *api.Kind {
	return api.Spec[*eventsv1.Event]{
		Group: "events.k8s.io", Version: "v1", Name: "Event",
		Resource: "events", Singular: "event", ShortNames: []string{"ev"},
		Namespaced: true,
		New:        func() *eventsv1.Event { return &eventsv1.Event{} },
		NewList:    func() runtime.Object { return &eventsv1.EventList{} },
		Main:       rules(),
		View: &api.View{
			Of:         core,
			FromStored: fromCore,
			ToStored:   toCore,
		},
		Columns:             core.Columns,
		Row:                 rowOf(core),
		Fields:              eventFields,
		FieldNames:          fieldNames(),
		UnconditionalUpdate: true, CreateOnUpdate: true,
	}.Kind()
}

// fieldNames are what a client may select by. They are named after this form's
// fields: the core group's names are refused.
func fieldNames() []string { return slices.Sorted(maps.Keys(eventFields(&eventsv1.Event{}))) }

func eventFields(e *eventsv1.Event) fields.Set {
	return fields.Set{
		"reason":                    e.Reason,
		"regarding.apiVersion":      e.Regarding.APIVersion,
		"regarding.fieldPath":       e.Regarding.FieldPath,
		"regarding.kind":            e.Regarding.Kind,
		"regarding.name":            e.Regarding.Name,
		"regarding.namespace":       e.Regarding.Namespace,
		"regarding.resourceVersion": e.Regarding.ResourceVersion,
		"regarding.uid":             string(e.Regarding.UID),
		"reportingController":       e.ReportingController,
		"type":                      e.Type,
	}
}

// rowOf prints the event as the core group does.
func rowOf(core *api.Kind) func(*eventsv1.Event, time.Time) []any {
	if core.Row == nil {
		return nil
	}
	return func(e *eventsv1.Event, now time.Time) []any { return core.Row(toCore(e), now) }
}
