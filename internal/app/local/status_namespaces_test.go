package local

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestStatusNamesWhatHoldsNamespacesUp(t *testing.T) {
	now := time.Unix(10_000, 0)
	going := func(name string, ago time.Duration, change func(*corev1.Namespace)) *corev1.Namespace {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, DeletionTimestamp: &metav1.Time{Time: now.Add(-ago)}}}
		if change != nil {
			change(ns)
		}
		return ns
	}
	remaining := func(ns *corev1.Namespace) {
		ns.Status.Conditions = []corev1.NamespaceCondition{
			{Type: corev1.NamespaceDeletionContentFailure, Status: corev1.ConditionFalse, Message: "All content successfully deleted"},
			{Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionTrue, Message: "Some resources are remaining: widgets.example.com has 1 resource instances"},
			{Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionTrue, Message: "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"},
		}
	}
	for name, c := range map[string]struct {
		ns   *corev1.Namespace
		want string
	}{
		"content": {going("a", time.Minute, remaining), "✗ namespace a has been going for 60s: Some resources are remaining: widgets.example.com has 1 resource instances; " +
			"Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances\n"},
		"finalizer": {going("b", time.Hour, func(ns *corev1.Namespace) { ns.Finalizers = []string{"example.com/last"} }),
			"✗ namespace b has been going for 60m: it waits for whoever takes off the finalizers example.com/last\n"},
		"a moment ago": {going("c", time.Second, remaining), ""},
		"alive":        {&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "d"}}, ""},
	} {
		var out strings.Builder
		r := reporter{out: &out, healthy: true, now: now}
		r.namespaces([]*corev1.Namespace{c.ns})
		if out.String() != c.want || r.healthy != (c.want == "") {
			t.Errorf("%s: %q (healthy %v), want %q", name, out.String(), r.healthy, c.want)
		}
	}
}
