package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

const soon = time.Minute

// transports are the two ways to an API server. All that a caller can see is
// the same on both.
func transports(t *testing.T, o testkit.Options, test func(t *testing.T, c *testkit.Cluster, api *client.Client)) {
	t.Run("in process", func(t *testing.T) {
		c := testkit.Start(t, o)
		test(t, c, c.Admin)
	})
	t.Run("https", func(t *testing.T) {
		c := testkit.Start(t, o)
		test(t, c, client.New(c.Wire(t), c.Catalog))
	})
}

func bare() testkit.Options {
	return testkit.Options{NoControllers: true, NoScheduler: true, CheckMutation: true}
}

func configMap(name string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: labels}, Data: map[string]string{"k": "v"}}
}

func TestObjectLife(t *testing.T) {
	transports(t, bare(), func(t *testing.T, _ *testkit.Cluster, c *client.Client) {
		api, ctx := client.For[*corev1.ConfigMap](c.WithManager("tester")), t.Context()
		if _, err := api.Get(ctx, "default", "a"); !apierrors.IsNotFound(err) || err.Error() != `configmaps "a" not found` {
			t.Fatalf("get of what is not there: %v", err)
		}
		made, err := api.Create(ctx, configMap("a", nil))
		if err != nil || made.UID == "" || made.ManagedFields[0].Manager != "tester" {
			t.Fatalf("create: %+v, %v", made, err)
		}
		if _, err := api.Create(ctx, configMap("a", nil)); !apierrors.IsAlreadyExists(err) {
			t.Errorf("second create: %v", err)
		}
		changed := made.DeepCopy()
		changed.Data["k"] = "w"
		changed, err = api.Update(ctx, changed)
		if err != nil || client.Revision(changed) <= client.Revision(made) {
			t.Fatalf("update: %v, %v", changed, err)
		}
		if _, err := api.Update(ctx, made.DeepCopy()); !apierrors.IsConflict(err) {
			t.Errorf("update of an old version: %v", err)
		}
		patched, err := api.Patch(ctx, "default", "a", types.MergePatchType, []byte(`{"data":{"x":"y"}}`))
		if err != nil || patched.Data["x"] != "y" || patched.Data["k"] != "w" {
			t.Errorf("patch: %v, %v", patched, err)
		}
		applied, err := api.Apply(ctx, "default", "b", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"},"data":{"q":"1"}}`), "applier", false)
		if err != nil || applied.Data["q"] != "1" {
			t.Errorf("apply: %v, %v", applied, err)
		}
		got, err := api.Get(ctx, "default", "a")
		if diff := cmp.Diff(patched.Data, got.Data); err != nil || diff != "" {
			t.Errorf("get: %v %s", err, diff)
		}
		if err := api.Delete(ctx, "default", "a", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("other")}); !apierrors.IsConflict(err) {
			t.Errorf("delete of another one: %v", err)
		}
		if err := api.Delete(ctx, "default", "a", metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete: %v", err)
		}
		if err := api.Delete(ctx, "default", "a", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("second delete: %v", err)
		}
	})
}

func TestInvalidNamesTheField(t *testing.T) {
	transports(t, bare(), func(t *testing.T, _ *testkit.Cluster, c *client.Client) {
		_, err := client.For[*corev1.ConfigMap](c).Create(t.Context(), configMap("Not A Name", nil))
		status, ok := err.(apierrors.APIStatus)
		if !apierrors.IsInvalid(err) || !ok || status.Status().Details.Causes[0].Field != "metadata.name" {
			t.Errorf("error: %#v", err)
		}
	})
}

func TestListsPageAndSelect(t *testing.T) {
	transports(t, bare(), func(t *testing.T, _ *testkit.Cluster, c *client.Client) {
		api, ctx := client.For[*corev1.ConfigMap](c), t.Context()
		for i := range 7 {
			if _, err := api.Create(ctx, configMap(fmt.Sprint("c", i), map[string]string{"even": fmt.Sprint(i%2 == 0)})); err != nil {
				t.Fatal(err)
			}
		}
		list := func(o metav1.ListOptions) []string {
			items, rv, err := api.List(ctx, "default", o)
			if err != nil || client.ParseRevision(rv) == 0 {
				t.Fatalf("list: %q, %v", rv, err)
			}
			var out []string
			for _, item := range items {
				out = append(out, item.Name)
			}
			return out
		}
		for name, c := range map[string]struct {
			opts metav1.ListOptions
			want []string
		}{
			"all":    {metav1.ListOptions{}, []string{"c0", "c1", "c2", "c3", "c4", "c5", "c6"}},
			"paged":  {metav1.ListOptions{Limit: 3}, []string{"c0", "c1", "c2", "c3", "c4", "c5", "c6"}},
			"labels": {metav1.ListOptions{LabelSelector: "even=true"}, []string{"c0", "c2", "c4", "c6"}},
			"fields": {metav1.ListOptions{FieldSelector: "metadata.name=c3"}, []string{"c3"}},
			"none":   {metav1.ListOptions{LabelSelector: "even=maybe"}, nil},
		} {
			if diff := cmp.Diff(c.want, list(c.opts)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if err := api.DeleteCollection(ctx, "default", metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "even=true"}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"c1", "c3", "c5"}, list(metav1.ListOptions{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStatusAndBinding(t *testing.T) {
	transports(t, bare(), func(t *testing.T, cluster *testkit.Cluster, c *client.Client) {
		ctx := t.Context()
		if _, err := client.For[*corev1.ServiceAccount](c).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}); err != nil {
			t.Fatal(err)
		}
		pods := client.For[*corev1.Pod](c)
		pod, err := pods.Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "p-"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = pods.Act(ctx, "default", pod.Name, "binding", &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"},
		})
		if err != nil {
			t.Fatal("binding: ", err)
		}
		bound, err := pods.Get(ctx, "default", pod.Name)
		if err != nil || bound.Spec.NodeName != "n" {
			t.Fatalf("bound: %v, %v", bound, err)
		}
		changed := bound.DeepCopy()
		changed.Status.Phase, changed.Spec.NodeName = corev1.PodRunning, "elsewhere"
		out, err := pods.UpdateStatus(ctx, changed)
		if err != nil || out.Status.Phase != corev1.PodRunning || out.Spec.NodeName != "n" {
			t.Errorf("status: %+v, %v", out, err)
		}
	})
}

// next reads a watch until it has n events that are no bookmarks.
func next(t *testing.T, s request.Stream, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var out []string
	for len(out) < n {
		events, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("after %v: %v", out, err)
		}
		for _, ev := range events {
			if ev.Type != watch.Bookmark {
				out = append(out, fmt.Sprint(ev.Type, " ", ev.Object.(metav1.Object).GetName()))
			}
		}
	}
	return out
}

func TestWatchTellsInOrder(t *testing.T) {
	transports(t, bare(), func(t *testing.T, _ *testkit.Cluster, c *client.Client) {
		api, ctx := client.For[*corev1.ConfigMap](c), t.Context()
		if _, err := api.Create(ctx, configMap("before", nil)); err != nil {
			t.Fatal(err)
		}
		_, rv, err := api.List(ctx, "default", metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := api.Watch(ctx, "default", metav1.ListOptions{ResourceVersion: rv, LabelSelector: "w=1"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		made, err := api.Create(ctx, configMap("a", map[string]string{"w": "1"}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.Create(ctx, configMap("other", nil)); err != nil {
			t.Fatal(err)
		}
		changed := made.DeepCopy()
		changed.Data["k"] = "w"
		if changed, err = api.Update(ctx, changed); err != nil {
			t.Fatal(err)
		}
		changed = changed.DeepCopy()
		changed.Labels = nil
		if _, err := api.Update(ctx, changed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"ADDED a", "MODIFIED a", "DELETED a"}, next(t, s, 3)); diff != "" {
			t.Error(diff)
		}
	})
}
