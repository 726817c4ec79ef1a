package framework

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// Whatever comes and goes, a tally is what counting anew gives.
func TestTalliesFollow(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		classes := NewClasses()
		var nodes []*Node
		for i := range 6 {
			labels := map[string]string{"zone": fmt.Sprint("z", i%2)}
			if i > 0 {
				labels["rack"] = fmt.Sprint("r", i%3)
			}
			nodes = append(nodes, NewNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), Labels: labels}}))
		}
		v := NewView(nodes, classes)
		there := map[types.UID]*Node{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			uid := types.UID(fmt.Sprint("p", rapid.IntRange(0, 9).Draw(t, "pod")))
			if n := there[uid]; n != nil {
				classes.Drop(n.Remove(uid).Class)
				delete(there, uid)
			} else {
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid, Labels: map[string]string{"app": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "app")}}}
				if rapid.Bool().Draw(t, "ending") {
					pod.DeletionTimestamp = &metav1.Time{}
				}
				n := nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "node")]
				n.Add(&Placed{Pod: pod, Class: classes.Take(pod)})
				there[uid] = n
			}
			switch rapid.IntRange(0, 9).Draw(t, "disturb") {
			case 0:
				v.Relabelled()
			case 1:
				v.tallied = mostTallies
			}
			classes.Each(false, func(c *Class) {
				for _, key := range []string{"zone", "rack", "none"} {
					got, want := v.Tally(c, key), newTally(v, c, key)
					if diff := cmp.Diff([][]int32{want.Pods, want.Ending}, [][]int32{got.Pods, got.Ending}); diff != "" {
						t.Fatalf("class %v by %s: %s", c.Labels, key, diff)
					}
				}
			})
		}
	})
}
