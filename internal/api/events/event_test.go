package events

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
)

func TestEventsAreSelectedByTheirOwnFields(t *testing.T) {
	e := &eventsv1.Event{Reason: "Started", Type: "Normal", ReportingController: "kubelet",
		Regarding: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web", UID: "1", APIVersion: "v1", ResourceVersion: "7", FieldPath: "spec"}}
	want := fields.Set{"reason": "Started", "type": "Normal", "reportingController": "kubelet",
		"regarding.kind": "Pod", "regarding.namespace": "default", "regarding.name": "web", "regarding.uid": "1",
		"regarding.apiVersion": "v1", "regarding.resourceVersion": "7", "regarding.fieldPath": "spec"}
	if d := cmp.Diff(want, eventFields(e)); d != "" {
		t.Error(d)
	}
	if len(fieldNames()) != len(want) {
		t.Errorf("names %v", fieldNames())
	}
}
