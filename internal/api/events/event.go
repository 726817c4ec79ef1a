// Package events declares the kinds of events.k8s.io: the newer form of
// events, stored as those of the core group. It holds no state.
package events

import (
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
		Columns: core.Columns,
		Row:     rowOf(core),
		Fields: func(e *eventsv1.Event) fields.Set {
			if core.Fields == nil {
				return nil
			}
			return core.Fields(toCore(e))
		},
		FieldNames: core.FieldNames, IndexedFields: core.IndexedFields,
		UnconditionalUpdate: true, CreateOnUpdate: true,
	}.Kind()
}

// rowOf prints the event as the core group does.
func rowOf(core *api.Kind) func(*eventsv1.Event, time.Time) []any {
	if core.Row == nil {
		return nil
	}
	return func(e *eventsv1.Event, now time.Time) []any { return core.Row(toCore(e), now) }
}
