package events

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/knarr-io/knarr/internal/api"
)

// fromCore shows a stored core event as an events.k8s.io one. Nothing is
// lost: the fields that only the old form has are the deprecated ones.
func fromCore(obj api.Object) api.Object {
	e := obj.(*corev1.Event)
	return &eventsv1.Event{
		ObjectMeta:               *e.ObjectMeta.DeepCopy(),
		EventTime:                e.EventTime,
		Series:                   seriesFromCore(e.Series),
		ReportingController:      e.ReportingController,
		ReportingInstance:        e.ReportingInstance,
		Action:                   e.Action,
		Reason:                   e.Reason,
		Regarding:                e.InvolvedObject,
		Related:                  e.Related.DeepCopy(),
		Note:                     e.Message,
		Type:                     e.Type,
		DeprecatedSource:         e.Source,
		DeprecatedFirstTimestamp: e.FirstTimestamp,
		DeprecatedLastTimestamp:  e.LastTimestamp,
		DeprecatedCount:          e.Count,
	}
}

// toCore is the inverse of fromCore.
func toCore(obj api.Object) api.Object {
	e := obj.(*eventsv1.Event)
	return &corev1.Event{
		ObjectMeta:          *e.ObjectMeta.DeepCopy(),
		EventTime:           e.EventTime,
		Series:              seriesToCore(e.Series),
		ReportingController: e.ReportingController,
		ReportingInstance:   e.ReportingInstance,
		Action:              e.Action,
		Reason:              e.Reason,
		InvolvedObject:      e.Regarding,
		Related:             e.Related.DeepCopy(),
		Message:             e.Note,
		Type:                e.Type,
		Source:              e.DeprecatedSource,
		FirstTimestamp:      e.DeprecatedFirstTimestamp,
		LastTimestamp:       e.DeprecatedLastTimestamp,
		Count:               e.DeprecatedCount,
	}
}

func seriesFromCore(s *corev1.EventSeries) *eventsv1.EventSeries {
	if s == nil {
		return nil
	}
	return &eventsv1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
}

func seriesToCore(s *eventsv1.EventSeries) *corev1.EventSeries {
	if s == nil {
		return nil
	}
	return &corev1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
}
