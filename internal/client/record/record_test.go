package record_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func events(t *testing.T, c *testkit.Cluster) []*corev1.Event {
	t.Helper()
	out, _, err := client.For[*corev1.Event](c.Admin).List(t.Context(), "default", metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func about(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "u"}}
}

func TestEventsCarryBothNamesOfTheirSource(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	r := record.New(c.Admin, "tester", "host-1", nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	defer func() { cancel(); <-done }()
	r.Eventf(about("p"), corev1.EventTypeWarning, "Broken", "it broke %d times", 3)
	var got *corev1.Event
	await.Until(t, time.Minute, "the event is written", func() bool {
		if list := events(t, c); len(list) == 1 {
			got = list[0]
		}
		return got != nil
	})
	if got.Reason != "Broken" || got.Message != "it broke 3 times" || got.Type != corev1.EventTypeWarning || got.Count != 1 ||
		got.Source.Component != "tester" || got.Source.Host != "host-1" ||
		got.ReportingController != "tester" || got.ReportingInstance != "host-1" ||
		got.InvolvedObject.Kind != "Pod" || got.InvolvedObject.APIVersion != "v1" || got.InvolvedObject.UID != "u" || got.FirstTimestamp.IsZero() {
		t.Errorf("event: %+v", got)
	}
	for range 4 {
		r.Eventf(about("p"), corev1.EventTypeWarning, "Broken", "it broke %d times", 3)
	}
	await.Until(t, time.Minute, "the same event again is counted", func() bool {
		list := events(t, c)
		return len(list) == 1 && list[0].Count == 5
	})
}

func TestQueuedEventsAreWrittenAtTheEnd(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	r := record.New(c.Admin, "tester", "", nil)
	for i := range 50 {
		r.Event(about(fmt.Sprint("p", i)), corev1.EventTypeNormal, "Seen", "hello")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Run(ctx)
	if n := len(events(t, c)); n != 50 {
		t.Errorf("%d of 50 events were written", n)
	}
}

func TestReportingNeverBlocks(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	r := record.New(c.Admin, "tester", "", nil) // nobody runs it
	for i := range 20_000 {
		r.Event(about(fmt.Sprint("p", i)), corev1.EventTypeNormal, "Seen", "hello")
	}
	var none *record.Recorder
	none.Event(about("p"), corev1.EventTypeNormal, "Seen", "hello")
	none.Run(t.Context())
}
