package core

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhereEventsLie(t *testing.T) {
	at := metav1.NewMicroTime(time.Unix(1, 0))
	for name, tt := range map[string]struct {
		event corev1.Event
		ok    bool
	}{
		"old, beside its object":                 {event("a", "a", metav1.MicroTime{}), true},
		"old, elsewhere":                         {event("a", "b", metav1.MicroTime{}), false},
		"old, of the cluster, in default":        {event("default", "", metav1.MicroTime{}), true},
		"old, of the cluster, in another":        {event("kube-system", "", metav1.MicroTime{}), false},
		"new, elsewhere":                         {event("a", "b", at), true},
		"new, of the cluster, in system":         {event("kube-system", "", at), true},
		"new, of the cluster, in some namespace": {event("a", "", at), false},
	} {
		if errs := validateEvent(&tt.event); (len(errs) == 0) != tt.ok {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func event(namespace, of string, at metav1.MicroTime) corev1.Event {
	return corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: namespace}, InvolvedObject: corev1.ObjectReference{Namespace: of},
		EventTime: at, ReportingController: "example.com/c", ReportingInstance: "i", Action: "a", Reason: "r",
	}
}
