package escalate

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// describe words atomic rules: those that differ in their verb alone are
// shown as one, and the lines are sorted.
func describe(atoms []rbacv1.PolicyRule) []string {
	var order []string
	merged := map[string]*rbacv1.PolicyRule{}
	for _, atom := range atoms {
		key := compact(rbacv1.PolicyRule{
			APIGroups: atom.APIGroups, Resources: atom.Resources,
			NonResourceURLs: atom.NonResourceURLs, ResourceNames: atom.ResourceNames,
		})
		if one := merged[key]; one != nil {
			one.Verbs = append(one.Verbs, atom.Verbs...)
			continue
		}
		merged[key] = atom.DeepCopy()
		order = append(order, key)
	}
	lines := make([]string, 0, len(order))
	for _, key := range order {
		lines = append(lines, compact(*merged[key]))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// compact writes a rule on one line, without what is empty.
func compact(r rbacv1.PolicyRule) string {
	var parts []string
	for _, p := range []struct {
		name   string
		values []string
	}{
		{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs},
		{"ResourceNames", r.ResourceNames}, {"Verbs", r.Verbs},
	} {
		if len(p.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", p.name, p.values))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
