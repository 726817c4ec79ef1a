package apiextensions

import (
	"slices"
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// beginDelete holds a definition whose deletion begins until its objects are
// gone, and says so.
func beginDelete(d *v1.CustomResourceDefinition, now time.Time) {
	if !slices.Contains(d.Finalizers, v1.CustomResourceCleanupFinalizer) {
		d.Finalizers = append(d.Finalizers, v1.CustomResourceCleanupFinalizer)
	}
	SetCondition(d, now, v1.CustomResourceDefinitionCondition{
		Type: v1.Terminating, Status: v1.ConditionTrue, Reason: "InstanceDeletionPending",
		Message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
	})
}

// SetCondition puts a condition in the place of the one of its type. Its time
// of transition moves only when the status changes.
func SetCondition(d *v1.CustomResourceDefinition, now time.Time, c v1.CustomResourceDefinitionCondition) {
	c.LastTransitionTime = metav1.NewTime(now.UTC().Truncate(time.Second))
	have := Condition(d, c.Type)
	if have == nil {
		d.Status.Conditions = append(d.Status.Conditions, c)
		return
	}
	if have.Status == c.Status {
		c.LastTransitionTime = have.LastTransitionTime
	}
	*have = c
}

// Condition finds a condition by its type; nil where there is none.
func Condition(d *v1.CustomResourceDefinition, kind v1.CustomResourceDefinitionConditionType) *v1.CustomResourceDefinitionCondition {
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == kind {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

// IsTrue tells whether a condition holds.
func IsTrue(d *v1.CustomResourceDefinition, kind v1.CustomResourceDefinitionConditionType) bool {
	c := Condition(d, kind)
	return c != nil && c.Status == v1.ConditionTrue
}
