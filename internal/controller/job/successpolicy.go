package job

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
)

// policyMet tells whether the indexes that succeeded are enough by a rule of
// the job's success policy (KEP-3998), and which rule says so.
func policyMet(j *batchv1.Job, succeeded indexes) (message string, met bool) {
	if j.Spec.SuccessPolicy == nil {
		return "", false
	}
	for i, rule := range j.Spec.SuccessPolicy.Rules {
		if ruleMet(rule, succeeded, int(*j.Spec.Completions)) {
			return fmt.Sprintf("Matched rules at index %d", i), true
		}
	}
	return "", false
}

func ruleMet(rule batchv1.SuccessPolicyRule, succeeded indexes, completions int) bool {
	counted, wanted := succeeded.total(), 0
	if rule.SucceededIndexes != nil {
		listed := parse(*rule.SucceededIndexes, completions)
		counted, wanted = 0, listed.total()
		for _, s := range listed {
			for i := s.first; i <= s.last; i++ {
				if succeeded.has(i) {
					counted++
				}
			}
		}
	}
	if rule.SucceededCount != nil {
		wanted = int(*rule.SucceededCount)
	}
	return wanted > 0 && counted >= wanted
}
