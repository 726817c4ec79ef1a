package events

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// Limits of an event's texts, in bytes.
const (
	maxInstance = 128
	maxAction   = 128
	maxReason   = 128
	maxNote     = 1024
)

// rules are stricter than those of core events: whoever uses the newer form
// must fill it. Paths in errors are those of the stored form.
func rules() api.RulesOf[*eventsv1.Event] {
	return api.RulesOf[*eventsv1.Event]{
		Validate: func(e *eventsv1.Event) field.ErrorList {
			return append(common(e), strict(e)...)
		},
		ValidateUpdate: func(e, old *eventsv1.Event) field.ErrorList {
			errs := common(e)
			if !equality.Semantic.DeepEqual(e.Series, old.Series) {
				errs = append(errs, series(e)...)
			}
			return append(errs, unchanged(e, old)...)
		},
	}
}

func common(e *eventsv1.Event) field.ErrorList {
	var errs field.ErrorList
	older := e.EventTime.IsZero() // an event of the old form
	if wrong := regardsOther(e, older); wrong {
		errs = append(errs, field.Invalid(field.NewPath("involvedObject", "namespace"), e.Regarding.Namespace, "does not match event.namespace"))
	}
	if older {
		return errs
	}
	controller := field.NewPath("reportingController")
	if e.ReportingController == "" {
		errs = append(errs, field.Required(controller, ""))
	}
	errs = append(errs, validate.QualifiedName(e.ReportingController, controller)...)
	errs = append(errs, text(e.ReportingInstance, maxInstance, field.NewPath("reportingInstance"))...)
	errs = append(errs, text(e.Action, maxAction, field.NewPath("action"))...)
	errs = append(errs, text(e.Reason, maxReason, field.NewPath("reason"))...)
	return append(errs, note(e)...)
}

// regardsOther tells of an object of another namespace than the event's. What
// is in no namespace has its events in one of the cluster's own.
func regardsOther(e *eventsv1.Event, older bool) bool {
	switch {
	case e.Regarding.Namespace != "":
		return older && e.Namespace != e.Regarding.Namespace
	case e.Namespace == metav1.NamespaceDefault:
		return false
	case older:
		return e.Namespace != metav1.NamespaceNone
	}
	return e.Namespace != metav1.NamespaceSystem
}

func note(e *eventsv1.Event) field.ErrorList {
	if len(e.Note) <= maxNote {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("message"), "", fmt.Sprintf("can have at most %v characters", maxNote))}
}

// text is required and bounded.
func text(value string, most int, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if value == "" {
		errs = append(errs, field.Required(path, ""))
	}
	if len(value) > most {
		errs = append(errs, field.Invalid(path, "", fmt.Sprintf("can have at most %v characters", most)))
	}
	return errs
}

func strict(e *eventsv1.Event) field.ErrorList {
	errs := series(e)
	if e.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", "has invalid value: "+e.Type))
	}
	const text = "needs to be unset"
	for _, f := range []struct {
		set  bool
		name string
	}{
		{!e.DeprecatedFirstTimestamp.IsZero(), "firstTimestamp"},
		{!e.DeprecatedLastTimestamp.IsZero(), "lastTimestamp"},
		{e.DeprecatedCount != 0, "count"},
		{e.DeprecatedSource != corev1.EventSource{}, "source"},
	} {
		if f.set {
			errs = append(errs, field.Invalid(field.NewPath(f.name), "", text))
		}
	}
	return errs
}

func series(e *eventsv1.Event) field.ErrorList {
	if e.Series == nil {
		return nil
	}
	var errs field.ErrorList
	if e.Series.Count < 2 {
		errs = append(errs, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if e.Series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
	return errs
}

// unchanged lets an update touch the series only.
func unchanged(e, old *eventsv1.Event) field.ErrorList {
	var errs field.ErrorList
	eventTime := old.EventTime
	if e.EventTime.Truncate(time.Microsecond).Equal(eventTime.Truncate(time.Microsecond)) {
		eventTime = e.EventTime // clients cut what is finer
	}
	for _, f := range []struct {
		name       string
		value, old any
	}{
		{"involvedObject", e.Regarding, old.Regarding},
		{"reason", e.Reason, old.Reason},
		{"message", e.Note, old.Note},
		{"source", e.DeprecatedSource, old.DeprecatedSource},
		{"firstTimestamp", e.DeprecatedFirstTimestamp, old.DeprecatedFirstTimestamp},
		{"lastTimestamp", e.DeprecatedLastTimestamp, old.DeprecatedLastTimestamp},
		{"count", e.DeprecatedCount, old.DeprecatedCount},
		{"reason", e.Reason, old.Reason}, // upstream says it twice
		{"type", e.Type, old.Type},
		{"eventTime", e.EventTime, eventTime},
		{"action", e.Action, old.Action},
		{"related", e.Related, old.Related},
		{"reportingController", e.ReportingController, old.ReportingController},
		{"reportingInstance", e.ReportingInstance, old.ReportingInstance},
	} {
		if len(validate.Immutable(f.value, f.old, field.NewPath(f.name))) > 0 {
			errs = append(errs, field.Invalid(field.NewPath(f.name), validate.Shown(f.value), "field is immutable"))
		}
	}
	return errs
}
