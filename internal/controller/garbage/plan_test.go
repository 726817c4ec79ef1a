package garbage

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

func TestJudge(t *testing.T) {
	const there, absent, waiting = ownerThere, ownerAbsent, ownerWaiting
	background, foreground, orphan := metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan
	cases := []struct {
		name          string
		owners        []ownerState
		finalizers    []string
		hasDependents bool
		waits         bool
		want          verdict
	}{
		{name: "no owners", want: verdict{}},
		{name: "owner there", owners: []ownerState{there}, want: verdict{}},
		{name: "owner gone", owners: []ownerState{absent}, want: verdict{remove: true, policy: background}},
		{name: "one of two gone", owners: []ownerState{there, absent}, want: verdict{drop: []types.UID{"1"}}},
		{name: "one there, one waiting", owners: []ownerState{there, waiting}, want: verdict{drop: []types.UID{"1"}}},
		{name: "all gone or waiting", owners: []ownerState{absent, waiting}, want: verdict{remove: true, policy: background}},
		{name: "waiting, with dependents", owners: []ownerState{waiting}, hasDependents: true, want: verdict{remove: true, policy: foreground}},
		{name: "waiting in a circle", owners: []ownerState{waiting}, hasDependents: true, waits: true, want: verdict{remove: true, policy: foreground, unblock: true}},
		{name: "was to orphan", owners: []ownerState{absent}, finalizers: []string{metav1.FinalizerOrphanDependents}, want: verdict{remove: true, policy: orphan}},
		{name: "was to wait", owners: []ownerState{absent}, finalizers: []string{metav1.FinalizerDeleteDependents}, want: verdict{remove: true, policy: foreground}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Finalizers: c.finalizers}}
			states := map[types.UID]ownerState{}
			for i, s := range c.owners {
				uid := types.UID(rune('0' + i))
				obj.OwnerReferences = append(obj.OwnerReferences, metav1.OwnerReference{UID: uid})
				states[uid] = s
			}
			if diff := cmp.Diff(c.want, judge(obj, states, c.hasDependents, c.waits), cmp.AllowUnexported(verdict{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestGraphKnowsDependents: the graph's answers are those of the references
// that are there, and it forgets what is gone.
func TestGraphKnowsDependents(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		g := newGraph()
		model := map[types.UID][]types.UID{} // owners by object
		uid := func(label string) types.UID {
			return types.UID(rune('a' + rapid.IntRange(0, 5).Draw(t, label)))
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			obj := uid("object")
			if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
				g.drop(obj)
				delete(model, obj)
				continue
			}
			it := item{uid: obj}
			model[obj] = nil
			seen := map[types.UID]bool{}
			for range rapid.IntRange(0, 3).Draw(t, "owners") {
				if owner := uid("owner"); !seen[owner] {
					seen[owner] = true
					it.owners = append(it.owners, metav1.OwnerReference{UID: owner})
					model[obj] = append(model[obj], owner)
				}
			}
			g.put(it)
		}
		for owner := 'a'; owner <= 'f'; owner++ {
			want := map[types.UID]bool{}
			for obj, owners := range model {
				for _, o := range owners {
					if o == types.UID(owner) {
						want[obj] = true
					}
				}
			}
			got := map[types.UID]bool{}
			for _, d := range g.dependentsOf(types.UID(owner)) {
				got[d.uid] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("dependents of %c: %s", owner, diff)
			}
		}
		for obj := range model {
			g.drop(obj)
		}
		if len(g.mu.items)+len(g.mu.dependents) != 0 {
			t.Fatalf("left over: %v %v", g.mu.items, g.mu.dependents)
		}
	})
}
