package controller_test

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// A role that is deleted while its rules are being summed up stays deleted.
func TestAggregatedRolesDoNotComeBack(t *testing.T) {
	c := testkit.Start(t, testkit.Options{CheckMutation: true})
	const pairs = 40
	rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"widgets"}}}
	pair := func(i int) {
		mark := map[string]string{"sum": fmt.Sprint(i)}
		create(t, c, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("part-%d", i), Labels: mark}, Rules: rules})
		create(t, c, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("sum-%d", i)},
			AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: mark}}}})
	}
	filled := func(i int) func() bool {
		return func() bool {
			role, ok := get[*rbacv1.ClusterRole](t, c, "", fmt.Sprintf("sum-%d", i))
			return ok && len(role.Rules) == 1
		}
	}
	for i := range pairs {
		pair(i)
	}
	for i := range pairs {
		await.Until(t, soon, "a role is filled", filled(i))
	}
	for i := range pairs {
		remove[*rbacv1.ClusterRole](t, c, "", fmt.Sprintf("part-%d", i), metav1.DeletePropagationBackground)
		remove[*rbacv1.ClusterRole](t, c, "", fmt.Sprintf("sum-%d", i), metav1.DeletePropagationBackground)
	}
	pair(pairs) // what was to be done before is done when this is
	await.Until(t, soon, "the next role is filled", filled(pairs))
	for i := range pairs {
		if role, ok := get[*rbacv1.ClusterRole](t, c, "", fmt.Sprintf("sum-%d", i)); ok {
			t.Errorf("%s is back, made by %v", role.Name, role.ManagedFields)
		}
	}
}
