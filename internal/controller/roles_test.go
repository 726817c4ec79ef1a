package controller_test

import (
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
