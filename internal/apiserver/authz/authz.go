// Package authz decides whether a user may do what a request asks for.
//
// The order is upstream's: members of system:masters may do everything; nodes
// (package node) may do what their pods need; everybody else, and everything
// that a node may not do as a node, is decided by roles (package rbac). Before
// the roles stands one rule of Knarr's own, for the edge's TLS secrets. The
// first that allows wins, nobody denies, and what nobody allows is refused
// with the reasons that were given.
package authz

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/authz/node"
	"github.com/knarr-io/knarr/internal/apiserver/authz/rbac"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Authorizer is the whole decision. It implements authorizer.Authorizer and
// authorizer.RuleResolver and is safe for concurrent use.
type Authorizer struct {
	rbac *rbac.Index
	// inOrder are asked one after the other; roles come last.
	inOrder []authorizer.Authorizer
}

// New reads roles and bindings from the cache. Run keeps them current.
func New(kinds *catalog.Catalog, objects *cache.Cache, logger *slog.Logger) (*Authorizer, error) {
	index, err := rbac.New(kinds, objects, logger)
	if err != nil {
		return nil, err
	}
	nodes, err := node.New(kinds, objects)
	if err != nil {
		return nil, err
	}
	secrets := objects.Of(kinds.Resource(corev1.SchemeGroupVersion.WithResource("secrets")))
	return &Authorizer{rbac: index, inOrder: []authorizer.Authorizer{nodes, edge{secrets}, index}}, nil
}

// Run follows changes of bindings until ctx ends or the cache closes.
func (z *Authorizer) Run(ctx context.Context) error { return z.rbac.Run(ctx) }

// RBAC is the index of roles and bindings, for those who need the rules
// themselves.
func (z *Authorizer) RBAC() *rbac.Index { return z.rbac }

// Authorize decides one request. Reasons of a refusal are one per line.
func (z *Authorizer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if slices.Contains(a.GetUser().GetGroups(), user.SystemPrivilegedGroup) {
		return authorizer.DecisionAllow, "", nil
	}
	var reasons []string
	for _, one := range z.inOrder {
		decision, reason, err := one.Authorize(ctx, a)
		if decision == authorizer.DecisionAllow || err != nil {
			return decision, reason, err
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return authorizer.DecisionNoOpinion, strings.Join(reasons, "\n"), nil
}

// RulesFor lists what a user may do in a namespace. What nodes may do as
// nodes depends on their pods and is not in it; the list says so.
func (z *Authorizer) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	resources, paths, incomplete, err := z.rbac.RulesFor(ctx, u, namespace)
	if _, isNode := node.NameOf(u); isNode {
		return resources, paths, true, err
	}
	return resources, paths, incomplete, err
}
