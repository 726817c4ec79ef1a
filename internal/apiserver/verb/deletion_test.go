package verb

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
)

func testKind(graceful bool) *api.Kind {
	s := api.Spec[*corev1.Pod]{Version: "v1", Name: "Pod", Resource: "pods", Namespaced: true, New: func() *corev1.Pod { return &corev1.Pod{} }}
	if graceful {
		s.Graceful = func(_ *corev1.Pod, asked *int64) api.GracefulDelete {
			if asked != nil {
				return api.GracefulDelete{Seconds: *asked}
			}
			return api.GracefulDelete{Seconds: 30}
		}
	}
	return s.Kind()
}

func TestPlanDeletion(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }
	n := func(v int64) *int64 { return &v }
	policy := func(p metav1.DeletionPropagation) metav1.DeleteOptions {
		return metav1.DeleteOptions{PropagationPolicy: &p}
	}
	type outcome struct {
		Nothing, Gone, ThenGone bool
		At                      *metav1.Time
		Grace                   *int64
		Finalizers              []string
		Generation              int64
	}
	tests := map[string]struct {
		graceful bool
		meta     metav1.ObjectMeta
		opts     metav1.DeleteOptions
		want     outcome
	}{
		"goes at once":             {want: outcome{Gone: true}},
		"is given its time":        {graceful: true, meta: metav1.ObjectMeta{Generation: 1}, want: outcome{At: at(30 * time.Second), Grace: n(30), Generation: 2}},
		"is given no time":         {graceful: true, opts: metav1.DeleteOptions{GracePeriodSeconds: n(0)}, want: outcome{At: at(0), Grace: n(0), ThenGone: true}},
		"is going already":         {graceful: true, meta: metav1.ObjectMeta{DeletionTimestamp: at(20 * time.Second), DeletionGracePeriodSeconds: n(30)}, want: outcome{Nothing: true}},
		"cannot be given more":     {graceful: true, meta: metav1.ObjectMeta{DeletionTimestamp: at(20 * time.Second), DeletionGracePeriodSeconds: n(30)}, opts: metav1.DeleteOptions{GracePeriodSeconds: n(60)}, want: outcome{Nothing: true}},
		"is given less":            {graceful: true, meta: metav1.ObjectMeta{DeletionTimestamp: at(20 * time.Second), DeletionGracePeriodSeconds: n(30)}, opts: metav1.DeleteOptions{GracePeriodSeconds: n(15)}, want: outcome{At: at(5 * time.Second), Grace: n(15)}},
		"has had its time":         {graceful: true, meta: metav1.ObjectMeta{DeletionTimestamp: at(0), DeletionGracePeriodSeconds: n(0)}, want: outcome{Gone: true}},
		"is held":                  {meta: metav1.ObjectMeta{Finalizers: []string{"a/b"}, Generation: 1}, want: outcome{At: at(0), Grace: n(0), Finalizers: []string{"a/b"}, Generation: 2}},
		"is held still":            {meta: metav1.ObjectMeta{Finalizers: []string{"a/b"}, DeletionTimestamp: at(-time.Hour), DeletionGracePeriodSeconds: n(0)}, want: outcome{Nothing: true}},
		"orphans":                  {opts: policy(metav1.DeletePropagationOrphan), want: outcome{At: at(0), Grace: n(0), Finalizers: []string{"orphan"}}},
		"waits for its dependents": {opts: policy(metav1.DeletePropagationForeground), want: outcome{At: at(0), Grace: n(0), Finalizers: []string{"foregroundDeletion"}}},
		"changes its mind":         {meta: metav1.ObjectMeta{Finalizers: []string{"orphan"}}, opts: policy(metav1.DeletePropagationBackground), want: outcome{Gone: true}},
		"keeps its mind":           {meta: metav1.ObjectMeta{Finalizers: []string{"orphan"}}, want: outcome{At: at(0), Grace: n(0), Finalizers: []string{"orphan"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: tt.meta}
			before := pod.DeepCopy()
			p := planDeletion(testKind(tt.graceful), pod, &tt.opts, now)
			got := outcome{Nothing: p.nothing, Gone: !p.nothing && p.object == nil, ThenGone: p.thenRemove}
			if !p.nothing && p.object != nil {
				got.At, got.Grace = p.object.GetDeletionTimestamp(), p.object.GetDeletionGracePeriodSeconds()
				got.Finalizers, got.Generation = p.object.GetFinalizers(), p.object.GetGeneration()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(before, pod); diff != "" {
				t.Errorf("the stored object was changed (-before +after)\n%s", diff)
			}
		})
	}
}

func TestUnchanged(t *testing.T) {
	early, late := metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(2, 0))
	entry := func(at metav1.Time, fields string) []metav1.ManagedFieldsEntry {
		return []metav1.ManagedFieldsEntry{{Manager: "m", Time: &at, FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}}}
	}
	old := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", ManagedFields: entry(early, `{"f:data":{}}`)}, Data: map[string]string{"k": "v"}}
	for name, tt := range map[string]struct {
		change func(*corev1.ConfigMap)
		want   bool
	}{
		"nothing":            {func(*corev1.ConfigMap) {}, true},
		"the time only":      {func(c *corev1.ConfigMap) { c.ManagedFields = entry(late, `{"f:data":{}}`) }, true},
		"empty for absent":   {func(c *corev1.ConfigMap) { c.Annotations = map[string]string{} }, true},
		"other fields owned": {func(c *corev1.ConfigMap) { c.ManagedFields = entry(early, `{"f:x":{}}`) }, false},
		"data and time":      {func(c *corev1.ConfigMap) { c.Data["k"] = "w"; c.ManagedFields = entry(late, `{"f:data":{}}`) }, false},
	} {
		obj := old.DeepCopy()
		tt.change(obj)
		given := obj.DeepCopy()
		if got := unchanged(obj, old); got != tt.want {
			t.Errorf("%s: unchanged is %v", name, got)
		}
		if diff := cmp.Diff(given.ManagedFields, obj.ManagedFields); !tt.want && diff != "" {
			t.Errorf("%s: the new times were lost\n%s", name, diff)
		}
	}
}
