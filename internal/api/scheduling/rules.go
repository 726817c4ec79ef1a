package scheduling

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	systemPrefix = "system-"
	// highestUserPriority is the most that a user's class may have; above are
	// the system's.
	highestUserPriority = int32(1000000000)
)

func rules() api.RulesOf[*schedulingv1.PriorityClass] {
	return api.RulesOf[*schedulingv1.PriorityClass]{
		Default: func(c *schedulingv1.PriorityClass) {
			if c.PreemptionPolicy == nil {
				policy := corev1.PreemptLowerPriority
				c.PreemptionPolicy = &policy
			}
		},
		Validate:       validateClass,
		ValidateUpdate: validateClassUpdate,
		// The generation is one for ever: nothing that counts may change.
		Generation: func(_, _ *schedulingv1.PriorityClass) bool { return false },
	}
}

// systemClasses are the classes that every cluster has: for pods without
// which the cluster, or a node, does not work.
func systemClasses() []*schedulingv1.PriorityClass {
	policy := corev1.PreemptLowerPriority
	class := func(name string, value int32, description string) *schedulingv1.PriorityClass {
		c := &schedulingv1.PriorityClass{Value: value, Description: description, PreemptionPolicy: &policy}
		c.Name = name
		return c
	}
	return []*schedulingv1.PriorityClass{
		class("system-node-critical", 2*highestUserPriority+1000,
			"Used for system critical pods that must not be moved from their current node."),
		class("system-cluster-critical", 2*highestUserPriority,
			"Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
	}
}

func validateClass(c *schedulingv1.PriorityClass) field.ErrorList {
	var errs field.ErrorList
	if strings.HasPrefix(c.Name, systemPrefix) {
		if why := notSystem(c); why != "" {
			errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"),
				"priority class names with '"+systemPrefix+"' prefix are reserved for system use only. error: "+why))
		}
	} else if c.Value > highestUserPriority {
		errs = append(errs, field.Forbidden(field.NewPath("value"),
			fmt.Sprintf("maximum allowed value of a user defined priority is %v", highestUserPriority)))
	}
	return append(errs, validatePreemption(c.PreemptionPolicy)...)
}

// notSystem says in what a class differs from the system's of its name.
func notSystem(c *schedulingv1.PriorityClass) string {
	for _, known := range systemClasses() {
		switch {
		case known.Name != c.Name:
		case known.Value != c.Value:
			return fmt.Sprintf("value of %v PriorityClass must be %v", known.Name, known.Value)
		case known.GlobalDefault != c.GlobalDefault:
			return fmt.Sprintf("globalDefault of %v PriorityClass must be %v", known.Name, known.GlobalDefault)
		default:
			return ""
		}
	}
	return fmt.Sprintf("%v is not a known system priority class", c.Name)
}

func validatePreemption(p *corev1.PreemptionPolicy) field.ErrorList {
	path := field.NewPath("preemptionPolicy")
	switch {
	case p == nil:
		return nil
	case *p == "":
		return field.ErrorList{field.Required(path, "")}
	case *p == corev1.PreemptLowerPriority || *p == corev1.PreemptNever:
		return nil
	}
	return field.ErrorList{field.NotSupported(path, *p, []corev1.PreemptionPolicy{corev1.PreemptLowerPriority, corev1.PreemptNever})}
}

func validateClassUpdate(c, old *schedulingv1.PriorityClass) field.ErrorList {
	var errs field.ErrorList
	if c.Value != old.Value {
		errs = append(errs, field.Forbidden(field.NewPath("value"), "may not be changed in an update."))
	}
	return append(errs, validate.Immutable(c.PreemptionPolicy, old.PreemptionPolicy, field.NewPath("preemptionPolicy"))...)
}
