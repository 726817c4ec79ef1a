package events

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/kindtest"
)

var rewrite = kindtest.RewriteFlag()

func kinds(t *testing.T) []*api.Kind {
	t.Helper()
	for _, k := range core.Kinds() {
		if k.GVK.Kind == "Event" {
			return Kinds(k)
		}
	}
	t.Fatal("the core group has no events")
	return nil
}

func TestScenarios(t *testing.T) { kindtest.Run(t, *rewrite, kinds(t)) }

func TestViewLosesNothing(t *testing.T) {
	now := metav1.Now()
	stored := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "e", Namespace: "n", Labels: map[string]string{"a": "b"}},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "p"}, Related: &corev1.ObjectReference{Kind: "Node"},
		Reason: "r", Message: "m", Source: corev1.EventSource{Component: "c"}, FirstTimestamp: now, LastTimestamp: now,
		Count: 3, Type: "Normal", EventTime: metav1.NowMicro(), Action: "a", ReportingController: "x", ReportingInstance: "y",
		Series: &corev1.EventSeries{Count: 2, LastObservedTime: metav1.NowMicro()},
	}
	view := kinds(t)[0].View
	if diff := cmp.Diff(stored, view.ToStored(view.FromStored(stored))); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}
