package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// dangling is the condition of a FlowSchema that tells whether its level is
// missing; nil where the schema tells so already. The words are upstream's.
func dangling(s *flowcontrolv1.FlowSchema, levelExists bool, now time.Time) *flowcontrolv1.FlowSchema {
	name := s.Spec.PriorityLevelConfiguration.Name
	want := flowcontrolv1.FlowSchemaCondition{
		Type: flowcontrolv1.FlowSchemaConditionDangling, Status: flowcontrolv1.ConditionFalse, Reason: "Found",
		Message: fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists", name),
	}
	if !levelExists {
		want.Status, want.Reason = flowcontrolv1.ConditionTrue, "NotFound"
		want.Message = fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q but there is no such object", name)
	}
	next, at := s.DeepCopy(), -1
	for i, c := range s.Status.Conditions {
		if c.Type == want.Type {
			at, want.LastTransitionTime = i, c.LastTransitionTime
			if c == want {
				return nil
			}
			if c.Status != want.Status {
				want.LastTransitionTime = metav1.NewTime(now).Rfc3339Copy()
			}
		}
	}
	if at < 0 {
		want.LastTransitionTime = metav1.NewTime(now).Rfc3339Copy()
		next.Status.Conditions = append(next.Status.Conditions, want)
	} else {
		next.Status.Conditions[at] = want
	}
	return next
}

// tellDangling writes the conditions of schemas that tell something else than
// what is. Schemas that somebody else has just written are left for the change
// that follows. It is the only writer of this condition.
func tellDangling(ctx context.Context, schemas, levels *cache.Resource) error {
	var items []*cache.Item
	schemas.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		items = append(items, item)
		return true
	})
	for _, item := range items {
		s, ok := item.Object.(*flowcontrolv1.FlowSchema)
		if !ok || s.DeletionTimestamp != nil {
			continue
		}
		_, exists := levels.Get("", s.Spec.PriorityLevelConfiguration.Name)
		next := dangling(s, exists, time.Now())
		if next == nil {
			continue
		}
		if _, err := schemas.Update(ctx, item, next); err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("write the status of the FlowSchema %s: %w", s.Name, err)
		}
	}
	return nil
}
