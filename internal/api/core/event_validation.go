package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// Bounds of events in the new form, in bytes.
const (
	maxEventText = 128
	maxEventNote = 1024
)

// validateEvent checks an event as this group takes it: freely in the old
// form, strictly where eventTime shows the new one.
func validateEvent(e *corev1.Event) field.ErrorList {
	if e.EventTime.IsZero() {
		return eventNamespace(e, metav1.NamespaceDefault)
	}
	errs := eventNamespace(e, metav1.NamespaceDefault, metav1.NamespaceSystem)
	if e.ReportingController == "" {
		errs = append(errs, field.Required(field.NewPath("reportingComponent"), ""))
	}
	errs = append(errs, validate.QualifiedName(e.ReportingController, field.NewPath("reportingComponent"))...)
	errs = append(errs, eventText(e.ReportingInstance, "reportingInstance")...)
	errs = append(errs, eventText(e.Action, "action")...)
	errs = append(errs, eventText(e.Reason, "reason")...)
	if len(e.Message) > maxEventNote {
		errs = append(errs, field.Invalid(field.NewPath("message"), "", fmt.Sprintf("can have at most %v characters", maxEventNote)))
	}
	return errs
}

func eventText(value, name string) field.ErrorList {
	errs := requiredIf(value == "", field.NewPath(name))
	if len(value) > maxEventText {
		errs = append(errs, field.Invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %v characters", maxEventText)))
	}
	return errs
}

// eventNamespace wants an event of the old form to lie beside its object, and
// one of an object without a namespace in one of the given ones.
func eventNamespace(e *corev1.Event, clusterScoped ...string) field.ErrorList {
	ok := e.Namespace == e.InvolvedObject.Namespace || !e.EventTime.IsZero()
	if e.InvolvedObject.Namespace == "" {
		ok = e.Namespace == metav1.NamespaceNone && e.EventTime.IsZero()
		for _, ns := range clusterScoped {
			ok = ok || e.Namespace == ns
		}
	}
	if ok {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("involvedObject", "namespace"),
		e.InvolvedObject.Namespace, "does not match event.namespace")}
}

func validateEventUpdate(e, _ *corev1.Event) field.ErrorList { return validateEvent(e) }

func asTime(t metav1.MicroTime) metav1.Time { return metav1.Time(t) }
