// Package rbac decides by roles and bindings.
//
// An Index keeps the bindings of the object cache by subject, follows their
// changes, and reads the roles that they name from the cache itself, so that
// a decision costs a few map look-ups and never a scan over bindings.
//
// Invariants: the index owns only its maps, the objects in it are the
// cache's; a decision is made on one state of the index; a binding whose role
// does not exist grants nothing and is reported as an error beside whatever
// else applies. The rules are those of upstream's RBAC authorizer.
package rbac

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Index answers what subjects may do. Safe for concurrent use.
type Index struct {
	roles, clusterRoles *cache.Resource
	bindings            *bindings
	followers           []*follower
}

// New reads all bindings. Run keeps them current.
func New(kinds *catalog.Catalog, objects *cache.Cache, logger *slog.Logger) (*Index, error) {
	resource := func(name string) *cache.Resource {
		return objects.Of(kinds.Resource(rbacv1.SchemeGroupVersion.WithResource(name)))
	}
	x := &Index{roles: resource("roles"), clusterRoles: resource("clusterroles"), bindings: newBindings()}
	for _, name := range []string{"rolebindings", "clusterrolebindings"} {
		f := &follower{resource: resource(name), bindings: x.bindings, logger: logger}
		if f.resource == nil || x.roles == nil || x.clusterRoles == nil {
			return nil, errors.New("the catalogue of kinds does not hold the RBAC kinds")
		}
		if err := f.load(); err != nil {
			return nil, err
		}
		x.followers = append(x.followers, f)
	}
	return x, nil
}

// grant is one binding that applies to a user, with the subject it names.
type grant struct {
	binding *binding
	subject rbacv1.Subject
}

// Authorize decides one request.
func (x *Index) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	resource := requestedResource(a)
	var problems []error
	for _, scope := range scopes(a.GetNamespace()) {
		for _, list := range x.bindings.of(a.GetUser(), scope) {
			for _, g := range list {
				rules, err := x.RoleRules(g.binding.role, scope)
				if err != nil {
					problems = append(problems, err)
				}
				if anyAllows(rules, a, resource) {
					return authorizer.DecisionAllow, "RBAC: allowed by " + g.describe(), nil
				}
			}
		}
	}
	if len(problems) > 0 {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("RBAC: %v", aggregate(problems)), nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func anyAllows(rules []rbacv1.PolicyRule, a authorizer.Attributes, resource string) bool {
	for i := range rules {
		if allows(&rules[i], a, resource) {
			return true
		}
	}
	return false
}

// scopes are where bindings for a namespace lie: the cluster, then itself.
func scopes(namespace string) []string {
	if namespace == "" {
		return []string{""}
	}
	return []string{"", namespace}
}

// Rules are all rules that apply to a user in a namespace (cluster-wide ones
// included); an empty namespace gives the cluster-wide ones. Bindings to
// roles that do not exist come back as an error beside the rules.
func (x *Index) Rules(u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var out []rbacv1.PolicyRule
	var problems []error
	for _, scope := range scopes(namespace) {
		for _, g := range once(x.bindings.of(u, scope)) {
			rules, err := x.RoleRules(g.binding.role, scope)
			if err != nil {
				problems = append(problems, err)
			}
			out = append(out, rules...)
		}
	}
	return out, aggregate(problems)
}

// RulesFor implements authorizer.RuleResolver.
func (x *Index) RulesFor(_ context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	rules, err := x.Rules(u, namespace)
	var resources []authorizer.ResourceRuleInfo
	var paths []authorizer.NonResourceRuleInfo
	for _, rule := range rules {
		if len(rule.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames,
			})
		}
		if len(rule.NonResourceURLs) > 0 {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: rule.Verbs, NonResourceURLs: rule.NonResourceURLs})
		}
	}
	return resources, paths, false, err
}

// RoleRules are the rules of the role that a binding in the namespace (empty
// for a ClusterRoleBinding) refers to; a NotFound status error where there is
// none.
func (x *Index) RoleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "Role":
		if item, ok := x.roles.Get(namespace, ref.Name); ok {
			return item.Object.(*rbacv1.Role).Rules, nil
		}
		return nil, apierrors.NewNotFound(rbacv1.Resource("role"), ref.Name)
	case "ClusterRole":
		if item, ok := x.clusterRoles.Get("", ref.Name); ok {
			return item.Object.(*rbacv1.ClusterRole).Rules, nil
		}
		return nil, apierrors.NewNotFound(rbacv1.Resource("clusterrole"), ref.Name)
	default:
		return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
	}
}

// describe words the grant as upstream does in the reason of a decision.
func (g grant) describe() string {
	b := g.binding
	of := fmt.Sprintf("of %s %q to %s", b.role.Kind, b.role.Name, describeSubject(g.subject))
	if b.namespace == "" {
		return fmt.Sprintf("ClusterRoleBinding %q %s", b.name, of)
	}
	return fmt.Sprintf("RoleBinding %q %s", b.name+"/"+b.namespace, of)
}

func describeSubject(s rbacv1.Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return fmt.Sprintf("ServiceAccount %q", s.Name+"/"+s.Namespace)
	}
	return fmt.Sprintf("%s %q", s.Kind, s.Name)
}

// aggregate joins errors the way upstream prints them: one alone, several in
// brackets, each text once.
func aggregate(problems []error) error {
	var texts []string
	for _, p := range problems {
		if text := p.Error(); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	switch len(texts) {
	case 0:
		return nil
	case 1:
		return problems[0]
	}
	joined := texts[0]
	for _, text := range texts[1:] {
		joined += ", " + text
	}
	return errors.New("[" + joined + "]")
}
