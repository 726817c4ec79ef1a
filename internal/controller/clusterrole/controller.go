// Package clusterrole fills aggregated ClusterRoles: the rules of one with an
// aggregation rule are those of the roles that its selectors take. It writes
// the rules field of such roles, and nobody else keeps what they write there.
package clusterrole

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

const manager = "clusterrole-aggregation-controller"

// Controller runs the loop. Make it with New.
type Controller struct {
	roles    client.Typed[*rbacv1.ClusterRole]
	informer *client.Informer[*rbacv1.ClusterRole]
	loop     *reconcile.Controller[string]
}

// New wires the controller to its informer.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	r := &Controller{roles: client.For[*rbacv1.ClusterRole](c), informer: client.InformerFor[*rbacv1.ClusterRole](inf)}
	r.loop = reconcile.New("clusterrole-aggregation", r.reconcile, opts)
	r.informer.AddIndex("aggregated", func(role *rbacv1.ClusterRole) []string {
		if role.AggregationRule == nil {
			return nil
		}
		return []string{"true"}
	})
	r.informer.OnChange(func(_, _ *rbacv1.ClusterRole) {
		for _, role := range r.informer.ByIndex("aggregated", "true") {
			r.loop.Enqueue(role.Name)
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.informer)
}

func (r *Controller) reconcile(ctx context.Context, name string) (reconcile.Result, error) {
	role, ok := r.informer.Get("", name)
	if !ok || role.AggregationRule == nil {
		return reconcile.Result{}, nil
	}
	rules, err := plan(role, r.informer.List("", nil))
	if err != nil {
		return reconcile.Result{}, reconcile.Terminal(err)
	}
	if equality.Semantic.DeepEqual(rules, role.Rules) {
		return reconcile.Result{}, nil
	}
	doc, err := json.Marshal(map[string]any{
		"apiVersion": rbacv1.SchemeGroupVersion.String(), "kind": "ClusterRole",
		// The UID keeps a role that was deleted meanwhile from being made again.
		"metadata": map[string]any{"name": name, "uid": role.UID}, "rules": rules,
	})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("encoding the rules: %w", err)
	}
	_, err = r.roles.Apply(ctx, "", name, doc, manager, true)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is gone, which will be told
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}

// plan gives the rules of all selected roles, in order of the roles' names,
// each rule once.
func plan(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	rules := []rbacv1.PolicyRule{}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("selector %d: %w", i, err)
		}
		for _, other := range sorted {
			if other.Name == role.Name || !selector.Matches(labels.Set(other.Labels)) {
				continue
			}
			for _, rule := range other.Rules {
				if !has(rules, rule) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}

func has(rules []rbacv1.PolicyRule, rule rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(rules, func(have rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(have, rule) })
}
