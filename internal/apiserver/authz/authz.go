// Package authz decides whether a user may do what a request asks for.
//
// The order is upstream's: members of system:masters may do everything; nodes
// (package node) may do what their pods need; everybody else, and everything
// that a node may not do as a node, is decided by roles (package rbac). Before
// the roles stands one rule of Knarr's own, for the edge's TLS secrets. The
// first that allows wins, and what nobody allows is refused with the reasons
// that were given. An AuthorizationConfiguration may name another order and
// webhooks in it, which may also deny (configured.go); it is followed when its
// file changes.
package authz

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

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
	rbac    *rbac.Index
	logger  *slog.Logger
	builtin struct{ node, edge, rbac step }
	// inOrder are asked one after the other.
	inOrder atomic.Pointer[[]step]

	file    string // of the configuration; empty: the built-in order
	content []byte // as it was first read
}

// step is one authorizer, with the rules that it can list.
type step struct {
	authorizer.Authorizer
	rules authorizer.RuleResolver // nil: it lists none
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
	z := &Authorizer{rbac: index, logger: logger}
	z.builtin.node, z.builtin.edge, z.builtin.rbac = step{Authorizer: nodes}, step{Authorizer: edge{secrets}}, step{Authorizer: index, rules: index}
	z.inOrder.Store(&[]step{z.builtin.node, z.builtin.edge, z.builtin.rbac})
	return z, nil
}

// Run follows changes of bindings, and of the configuration where there is
// one, until ctx ends or the cache closes.
func (z *Authorizer) Run(ctx context.Context) error {
	if z.file == "" {
		return z.rbac.Run(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() {
		defer cancel() // so that Run ends, and tells why the file is not followed
		followed <- z.followFile(ctx)
	}()
	err := z.rbac.Run(ctx)
	cancel()
	return errors.Join(err, <-followed)
}

// RBAC is the index of roles and bindings, for those who need the rules
// themselves.
func (z *Authorizer) RBAC() *rbac.Index { return z.rbac }

// Authorize decides one request. Reasons of a refusal are one per line. An
// authorizer that fails has no say; its error is told where nobody decides.
func (z *Authorizer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if slices.Contains(a.GetUser().GetGroups(), user.SystemPrivilegedGroup) {
		return authorizer.DecisionAllow, "", nil
	}
	var reasons []string
	var failed []error
	for _, one := range *z.inOrder.Load() {
		decision, reason, err := one.Authorize(ctx, a)
		if decision != authorizer.DecisionNoOpinion {
			return decision, reason, err
		}
		if err != nil {
			failed = append(failed, err)
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return authorizer.DecisionNoOpinion, strings.Join(reasons, "\n"), errors.Join(failed...)
}

// RulesFor lists what a user may do in a namespace. What nodes may do as
// nodes depends on their pods and is not in it, and webhooks list nothing; the
// list says so.
func (z *Authorizer) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	var resources []authorizer.ResourceRuleInfo
	var paths []authorizer.NonResourceRuleInfo
	var failed []error
	_, incomplete := node.NameOf(u)
	for _, one := range *z.inOrder.Load() {
		if one.rules == nil {
			continue
		}
		some, somePaths, partial, err := one.rules.RulesFor(ctx, u, namespace)
		resources, paths = append(resources, some...), append(paths, somePaths...)
		incomplete = incomplete || partial
		if err != nil {
			failed = append(failed, err)
		}
	}
	return resources, paths, incomplete, errors.Join(failed...)
}
