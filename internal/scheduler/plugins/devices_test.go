package plugins

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// TestLedgerKnowsWhatIsTaken plays a scheduler and an API whose news come late
// and in part again: what is taken is always what the newest claims hold and
// what is promised, and no device is ever free that one of them holds.
func TestLedgerKnowsWhatIsTaken(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		const claims, steps = 4, 60
		l := NewClaimLedger()
		truth := map[int]*resourcev1.ResourceClaim{} // as the API has them
		promised := map[int]*DevicePlan{}
		var history []*resourcev1.ResourceClaim
		revision := 0
		write := func(i int, a *resourcev1.AllocationResult) *resourcev1.ResourceClaim {
			revision++
			c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{
				Namespace: "n", Name: fmt.Sprint(i), UID: types.UID(fmt.Sprint(i)), ResourceVersion: strconv.Itoa(revision)}}
			c.Status.Allocation = a
			truth[i] = c
			history = append(history, c)
			return c
		}
		for i := range claims {
			l.Put(write(i, nil))
		}
		for range steps {
			i := rapid.IntRange(0, claims-1).Draw(t, "claim")
			plan := promised[i]
			switch rapid.SampledFrom([]string{"promise", "written", "failed", "deallocate", "late news"}).Draw(t, "step") {
			case "promise":
				if plan == nil && truth[i].Status.Allocation == nil {
					promised[i] = &DevicePlan{Claims: []DeviceClaim{{Claim: truth[i], Allocation: one(i)}}}
					l.Promise(promised[i])
				}
			case "written":
				if plan != nil {
					l.Put(write(i, plan.Claims[0].Allocation))
					l.Release(plan)
					delete(promised, i)
				}
			case "failed":
				if plan != nil {
					l.Release(plan)
					delete(promised, i)
				}
			case "deallocate":
				if plan == nil {
					l.Put(write(i, nil))
				}
			case "late news":
				l.Put(rapid.SampledFrom(history).Draw(t, "news"))
			}
			want := sets.New[string]()
			for i := range claims {
				if promised[i] != nil || truth[i].Status.Allocation != nil {
					want.Insert(fmt.Sprintf("d/p/%d", i))
				}
			}
			got := sets.New[string]()
			for id := range l.taken.AllocatedDevices {
				got.Insert(id.String())
			}
			if diff := cmp.Diff(sets.List(want), sets.List(got)); diff != "" {
				t.Fatalf("taken devices (-want +got):\n%s", diff)
			}
		}
	})
}

// one holds the device of a number.
func one(i int) *resourcev1.AllocationResult {
	return &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{
		{Driver: "d", Pool: "p", Device: strconv.Itoa(i)}}}}
}
