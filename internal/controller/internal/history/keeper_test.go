package history_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/history"
	"github.com/knarr-io/knarr/internal/testkit"
)

func ownerOf(image string) history.Owner {
	return history.Owner{
		Object: &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", UID: "u"}},
		GVK:    appsv1.SchemeGroupVersion.WithKind("StatefulSet"), HashLabel: "hash",
		Template: &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}}},
	}
}

// TestEnsure: a template is kept once; one that comes back gets a new number;
// a name that another template has is left to it.
func TestEnsure(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	revisions := client.For[*appsv1.ControllerRevision](c.Admin)
	k := history.Keeper{Revisions: revisions}
	first, all, collisions, err := k.Ensure(t.Context(), ownerOf("v1"), nil)
	if err != nil || first.Revision != 1 || len(all) != 1 || collisions != nil {
		t.Fatalf("the first: %v, %v, %v, %v", first, all, collisions, err)
	}
	// Nobody has seen the first yet: it is found by its name.
	again, _, collisions, err := k.Ensure(t.Context(), ownerOf("v1"), nil)
	if err != nil || again.UID != first.UID || collisions != nil {
		t.Fatalf("the first again: %v, %v, %v", again, collisions, err)
	}
	second, all, _, err := k.Ensure(t.Context(), ownerOf("v2"), all)
	if err != nil || second.Revision != 2 {
		t.Fatalf("the second: %v, %v", second, err)
	}
	back, all, _, err := k.Ensure(t.Context(), ownerOf("v1"), all)
	if err != nil || back.Name != first.Name || back.Revision != 3 || all[len(all)-1].Name != first.Name {
		t.Fatalf("the first comes back: %v, %v", back, err)
	}

	taken, err := history.New(ownerOf("v3"), 1)
	if err != nil {
		t.Fatal(err)
	}
	taken.Data.Raw, taken.OwnerReferences = []byte(`{"other":true}`), nil
	if _, err := revisions.Create(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	third, _, collisions, err := k.Ensure(t.Context(), ownerOf("v3"), all)
	if err != nil || third.Name == taken.Name || third.Revision != 4 || collisions == nil || *collisions != 1 {
		t.Fatalf("a taken name: %v, %v, %v", third, collisions, err)
	}

	o := ownerOf("v3")
	o.Limit = 1
	if err := k.Truncate(t.Context(), o, append(all, third), func(r *appsv1.ControllerRevision) bool { return r.Name == third.Name }); err != nil {
		t.Fatal(err)
	}
	if _, err := revisions.Get(t.Context(), "default", second.Name); err == nil {
		t.Error("the oldest idle revision is still there")
	}
	if _, err := revisions.Get(t.Context(), "default", first.Name); err != nil {
		t.Error("the revision within the limit is gone: ", err)
	}
}
