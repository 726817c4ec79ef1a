// Package escalate keeps users from granting more than they hold.
//
// A role may be written by who holds every rule in it (or the verb escalate
// on it), a binding by who holds every rule of the role that it names (or the
// verb bind on that role). Members of system:masters may grant anything. The
// rules and words are those of upstream's RBAC storage.
package escalate

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/authz/rbac"
)

// Checker checks writes of roles and bindings. Safe for concurrent use.
type Checker struct {
	authorizer authorizer.Authorizer
	index      *rbac.Index
}

// New takes the decision maker and the index of rules.
func New(z authorizer.Authorizer, index *rbac.Index) *Checker {
	return &Checker{authorizer: z, index: index}
}

// Check refuses a create (old nil) or an update of an RBAC object that would
// give somebody more than the user holds, with a Forbidden status error (or
// NotFound for a binding to a role that does not exist). Objects of other
// kinds pass.
func (c *Checker) Check(ctx context.Context, u user.Info, obj, old api.Object) error {
	if slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) || onlyCollected(obj, old) {
		return nil
	}
	switch o := obj.(type) {
	case *rbacv1.Role:
		if before, ok := old.(*rbacv1.Role); ok && equality.Semantic.DeepEqual(o.Rules, before.Rules) {
			return nil
		}
		return c.role(ctx, u, "roles", o, o.Rules)
	case *rbacv1.ClusterRole:
		return c.clusterRole(ctx, u, o, old)
	case *rbacv1.RoleBinding:
		if before, ok := old.(*rbacv1.RoleBinding); ok && sameGrant(o.RoleRef, before.RoleRef, o.Subjects, before.Subjects) {
			return nil
		}
		return c.binding(ctx, u, "rolebindings", o, o.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		if before, ok := old.(*rbacv1.ClusterRoleBinding); ok && sameGrant(o.RoleRef, before.RoleRef, o.Subjects, before.Subjects) {
			return nil
		}
		return c.binding(ctx, u, "clusterrolebindings", o, o.RoleRef)
	}
	return nil
}

func sameGrant(ref, oldRef rbacv1.RoleRef, subjects, oldSubjects []rbacv1.Subject) bool {
	return ref == oldRef && equality.Semantic.DeepEqual(subjects, oldSubjects)
}

// clusterRole also asks for everything where a role is to be filled from
// others by an aggregation rule, since nobody knows what those will hold.
func (c *Checker) clusterRole(ctx context.Context, u user.Info, o *rbacv1.ClusterRole, old api.Object) error {
	before, isUpdate := old.(*rbacv1.ClusterRole)
	if isUpdate && equality.Semantic.DeepEqual(o.Rules, before.Rules) && equality.Semantic.DeepEqual(o.AggregationRule, before.AggregationRule) {
		return nil
	}
	if c.may(ctx, u, "escalate", "clusterroles", "", o.Name) {
		return nil
	}
	if o.AggregationRule != nil && len(o.AggregationRule.ClusterRoleSelectors) > 0 || isUpdate && before.AggregationRule != nil && !equality.Semantic.DeepEqual(o.AggregationRule, before.AggregationRule) {
		if err := c.holds(u, "", everything()); err != nil {
			return forbidden("clusterroles", o.Name, fmt.Errorf("must have cluster-admin privileges to use an aggregationRule: %w", err))
		}
	}
	if err := c.holds(u, "", o.Rules); err != nil {
		return forbidden("clusterroles", o.Name, err)
	}
	return nil
}

func everything() []rbacv1.PolicyRule {
	all := []string{"*"}
	return []rbacv1.PolicyRule{{APIGroups: all, Resources: all, Verbs: all}, {NonResourceURLs: all, Verbs: all}}
}

func (c *Checker) role(ctx context.Context, u user.Info, resource string, o api.Object, rules []rbacv1.PolicyRule) error {
	if c.may(ctx, u, "escalate", resource, o.GetNamespace(), o.GetName()) {
		return nil
	}
	if err := c.holds(u, o.GetNamespace(), rules); err != nil {
		return forbidden(resource, o.GetName(), err)
	}
	return nil
}

func (c *Checker) binding(ctx context.Context, u user.Info, resource string, o api.Object, ref rbacv1.RoleRef) error {
	referred := strings.ToLower(ref.Kind) + "s"
	if c.may(ctx, u, "bind", referred, o.GetNamespace(), ref.Name) {
		return nil
	}
	rules, err := c.index.RoleRules(ref, o.GetNamespace())
	if apierrors.IsNotFound(err) {
		return apierrors.NewNotFound(rbacv1.Resource(referred), ref.Name)
	}
	if err != nil {
		return forbidden(resource, o.GetName(), err)
	}
	if err := c.holds(u, o.GetNamespace(), rules); err != nil {
		return forbidden(resource, o.GetName(), err)
	}
	return nil
}

// may asks for one of RBAC's own verbs.
func (c *Checker) may(ctx context.Context, u user.Info, verb, resource, namespace, name string) bool {
	decision, _, err := c.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: u, Verb: verb, Namespace: namespace, Name: name, ResourceRequest: true,
		APIGroup: rbacv1.GroupName, APIVersion: "*", Resource: resource,
	})
	return err == nil && decision == authorizer.DecisionAllow
}

// holds tells, in upstream's words, which rules the user lacks.
func (c *Checker) holds(u user.Info, namespace string, rules []rbacv1.PolicyRule) error {
	own, resolution := c.index.Rules(u, namespace)
	covered, missing := validation.Covers(own, rules)
	if covered {
		return nil
	}
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		u.GetName(), u.GetGroups(), strings.Join(describe(missing), "\n"))
	if resolution != nil {
		text += fmt.Sprintf("; resolution errors: [%v]", resolution)
	}
	return fmt.Errorf("%s", text)
}

func forbidden(resource, name string, err error) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: rbacv1.GroupName, Resource: resource}, name, err)
}

// onlyCollected tells whether an update changes nothing but the owner
// references and finalizers, which the garbage collector must be able to do.
func onlyCollected(obj, old api.Object) bool {
	if old == nil || reflect.TypeOf(obj) != reflect.TypeOf(old) {
		return false
	}
	before := old.DeepCopyObject().(api.Object)
	before.SetOwnerReferences(obj.GetOwnerReferences())
	before.SetFinalizers(obj.GetFinalizers())
	before.SetManagedFields(obj.GetManagedFields())
	return equality.Semantic.DeepEqual(obj, before)
}
