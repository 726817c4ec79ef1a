package history

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func owner(image string) Owner {
	return Owner{
		Object: &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db", UID: "u", Annotations: map[string]string{"kubernetes.io/change-cause": "why"}}},
		GVK:    appsv1.SchemeGroupVersion.WithKind("StatefulSet"), HashLabel: "hash",
		Template: &corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image, Args: []string{"a<b"}}}},
		},
	}
}

func revision(t *testing.T, o Owner, n int64) *appsv1.ControllerRevision {
	t.Helper()
	r, err := New(o, n)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRevisionKeepsTheTemplate(t *testing.T) {
	o := owner("v1")
	r := revision(t, o, 3)
	if !strings.HasPrefix(r.Name, "db-") || r.Labels["app"] != "db" || r.Labels["hash"] != strings.TrimPrefix(r.Name, "db-") ||
		r.Annotations["kubernetes.io/change-cause"] != "why" || r.Revision != 3 || r.OwnerReferences[0].UID != "u" {
		t.Errorf("metadata: %+v", r.ObjectMeta)
	}
	if !strings.Contains(string(r.Data.Raw), `"$patch":"replace"`) {
		t.Errorf("data: %s", r.Data.Raw)
	}
	back, err := Template(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o.Template, back); diff != "" {
		t.Error(diff)
	}
	if _, there := o.Template.Labels["hash"]; there {
		t.Error("the template was changed")
	}
}

func TestSameWhateverTheSpelling(t *testing.T) {
	a, b := revision(t, owner("v1"), 1), revision(t, owner("v1"), 2)
	var loose any
	if err := json.Unmarshal(b.Data.Raw, &loose); err != nil {
		t.Fatal(err)
	}
	indented, err := json.MarshalIndent(loose, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b.Data.Raw = indented
	if !Same(a, b) {
		t.Error("equal templates differ by spelling")
	}
	if Same(a, revision(t, owner("v2"), 1)) {
		t.Error("different templates are the same")
	}
	b.Data.Raw = []byte("no")
	if Same(a, b) {
		t.Error("what cannot be read is the same")
	}
}

func TestCollisionsChangeTheName(t *testing.T) {
	o := owner("v1")
	first := revision(t, o, 1)
	one := int32(1)
	o.Collisions = &one
	if second := revision(t, o, 1); second.Name == first.Name {
		t.Error("a collision leaves the name as it was")
	}
	o.Object.SetName(strings.Repeat("x", 253))
	if n := len(revision(t, o, 1).Name); n > 253 {
		t.Errorf("a name of %d characters", n)
	}
}

func TestSurplusSparesTheLive(t *testing.T) {
	var all []*appsv1.ControllerRevision
	for _, n := range []int64{4, 1, 3, 2, 5} {
		r := revision(t, owner(fmt.Sprint("v", n)), n)
		r.Name = fmt.Sprint(n)
		all = append(all, r)
	}
	Sort(all)
	live := func(r *appsv1.ControllerRevision) bool { return r.Name == "1" || r.Name == "5" }
	for limit, want := range map[int32]string{0: "2 3 4", 1: "2 3", 3: "", 10: ""} {
		var got []string
		for _, r := range surplus(all, live, limit) {
			got = append(got, r.Name)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("limit %d: %q, want %q", limit, s, want)
		}
	}
}
