package flow

import (
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The condition follows the level; its time is that of the last change of
// status, and what is told already is not written again.
func TestDangling(t *testing.T) {
	first, later := time.Unix(1000, 0).UTC(), time.Unix(2000, 0).UTC()
	s := &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: "s"}}
	s.Spec.PriorityLevelConfiguration.Name = "deck"
	s.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{Type: "Other"}}
	condition := func(s *flowcontrolv1.FlowSchema) flowcontrolv1.FlowSchemaCondition { return s.Status.Conditions[1] }

	gone := dangling(s, false, first)
	if c := condition(gone); c.Status != flowcontrolv1.ConditionTrue || c.Reason != "NotFound" || !c.LastTransitionTime.Time.Equal(first) ||
		c.Message != `This FlowSchema references the PriorityLevelConfiguration object named "deck" but there is no such object` {
		t.Errorf("without its level: %+v", c)
	}
	if again := dangling(gone, false, later); again != nil {
		t.Errorf("told twice: %+v", again.Status)
	}
	there := dangling(gone, true, later)
	if c := condition(there); c.Status != flowcontrolv1.ConditionFalse || c.Reason != "Found" || !c.LastTransitionTime.Time.Equal(later) {
		t.Errorf("with its level: %+v", c)
	}
	moved := there.DeepCopy()
	moved.Spec.PriorityLevelConfiguration.Name = "mast"
	if c := condition(dangling(moved, true, first)); !c.LastTransitionTime.Time.Equal(later) || len(moved.Status.Conditions) != 2 {
		t.Errorf("with another level that is there: %+v", c)
	}
}
