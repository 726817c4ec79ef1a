package controller_test

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
)

func TestAggregatedRolesFollowTheirParts(t *testing.T) {
	c := testkit.Start(t, testkit.Options{CheckMutation: true})
	rules := func(name string) int {
		role, ok := get[*rbacv1.ClusterRole](t, c, "", name)
		if !ok {
			return -1
		}
		return len(role.Rules)
	}
	testkit.Eventually(t, soon, "the default roles are filled", func() bool { return rules("view") > 0 && rules("edit") > 0 && rules("admin") > 0 })
	before := rules("view")
	create(t, c, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets-view", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"widgets"}}},
	})
	testkit.Eventually(t, soon, "a part's rule is taken over", func() bool { return rules("view") == before+1 })
	remove[*rbacv1.ClusterRole](t, c, "", "widgets-view", metav1.DeletePropagationBackground)
	testkit.Eventually(t, soon, "it goes with the part", func() bool { return rules("view") == before })
}

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
		testkit.Eventually(t, soon, "a role is filled", filled(i))
	}
	for i := range pairs {
		remove[*rbacv1.ClusterRole](t, c, "", fmt.Sprintf("part-%d", i), metav1.DeletePropagationBackground)
		remove[*rbacv1.ClusterRole](t, c, "", fmt.Sprintf("sum-%d", i), metav1.DeletePropagationBackground)
	}
	pair(pairs) // what was to be done before is done when this is
	testkit.Eventually(t, soon, "the next role is filled", filled(pairs))
	for i := range pairs {
		if role, ok := get[*rbacv1.ClusterRole](t, c, "", fmt.Sprintf("sum-%d", i)); ok {
			t.Errorf("%s is back, made by %v", role.Name, role.ManagedFields)
		}
	}
}
