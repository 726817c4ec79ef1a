package controller_test

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
)

func TestPolicyIsTypeChecked(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	p := create(t, c, &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{"*"},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
				},
			}}},
			Validations: []admissionregistrationv1.Validation{{Expression: "object.spec.replicas > 1"}, {Expression: "object.spec.replica > 1"}},
		},
	})
	testkit.Eventually(t, soon, "the policy is checked", func() bool {
		got, _ := get[*admissionregistrationv1.ValidatingAdmissionPolicy](t, c, "", "p")
		s := got.Status
		return s.ObservedGeneration == p.Generation && s.TypeChecking != nil && len(s.TypeChecking.ExpressionWarnings) == 1 &&
			s.TypeChecking.ExpressionWarnings[0].FieldRef == "spec.validations[1].expression" &&
			strings.Contains(s.TypeChecking.ExpressionWarnings[0].Warning, "undefined field 'replica'")
	})
}
