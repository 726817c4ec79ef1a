// Package node authorizes node agents: each may read what the pods bound to
// it use, and write its own node, lease and pods' status, and no more.
//
// What a node's pods use is read from the object cache at each decision, from
// the index of pods by node: nothing is kept here, so a decision is as fresh
// as the cache. What a node may write within those bounds is narrowed further
// by the NodeRestriction admission. The rules are those of upstream's node
// authorizer.
package node

import (
	"context"
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
)

const (
	userPrefix = "system:node:"
	nodesGroup = "system:nodes"
	leaseSpace = "kube-node-lease"
)

// Authorizer decides for users of the group system:nodes; it has no opinion
// on anybody else. Safe for concurrent use.
type Authorizer struct {
	pods, volumes, claims, attachments *cache.Resource
	fixed                              []rbacv1.PolicyRule
}

// New takes the objects that decisions depend on from the cache. Kinds of
// storage that the catalogue does not hold grant nothing.
func New(kinds *catalog.Catalog, objects *cache.Cache) (*Authorizer, error) {
	resource := func(group, name string) *cache.Resource {
		k := kinds.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: name})
		if k == nil {
			return nil
		}
		return objects.Of(k)
	}
	n := &Authorizer{
		fixed: fixedRules(),
		pods:  resource("", "pods"), volumes: resource("", "persistentvolumes"),
		claims: resource("", "persistentvolumeclaims"), attachments: resource("storage.k8s.io", "volumeattachments"),
	}
	if n.pods == nil {
		return nil, errors.New("the catalogue of kinds does not hold pods")
	}
	return n, nil
}

// NameOf gives the node that a user acts for.
func NameOf(u user.Info) (string, bool) {
	name, ok := strings.CutPrefix(u.GetName(), userPrefix)
	if !ok || name == "" {
		return "", false
	}
	for _, group := range u.GetGroups() {
		if group == nodesGroup {
			return name, true
		}
	}
	return "", false
}

// verdict is a refusal's reason; empty allows.
type verdict string

const allowed verdict = ""

// Authorize decides one request.
func (n *Authorizer) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	node, ok := NameOf(a.GetUser())
	if !ok || !a.IsResourceRequest() {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if v := n.decide(node, a); v != allowed {
		return authorizer.DecisionNoOpinion, string(v), nil
	}
	return authorizer.DecisionAllow, "", nil
}

func (n *Authorizer) decide(node string, a authorizer.Attributes) verdict {
	switch (schema.GroupResource{Group: a.GetAPIGroup(), Resource: a.GetResource()}) {
	case core("secrets"):
		return n.read(node, a, n.usesSecret)
	case core("configmaps"):
		return n.read(node, a, usesConfigMap)
	case core("serviceaccounts"):
		return n.serviceAccount(node, a)
	case core("persistentvolumeclaims"):
		return n.claim(node, a)
	case core("persistentvolumes"):
		return n.volume(node, a)
	case core("nodes"):
		return ownNode(node, a)
	case core("pods"):
		return n.pod(node, a)
	case schema.GroupResource{Group: "storage.k8s.io", Resource: "volumeattachments"}:
		return n.attachment(node, a)
	case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
		return own(node, a, "", "get", "create", "update", "patch", "delete")
	case schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
		return own(node, a, leaseSpace, "get", "create", "update", "patch", "delete")
	case schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceclaims"}:
		return n.read(node, a, usesResourceClaim, "get")
	case schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceslices"}:
		return ownSlices(node, a)
	}
	return n.byRule(a)
}

func core(resource string) schema.GroupResource { return schema.GroupResource{Resource: resource} }

// own lets a node write the object of its own name.
func own(node string, a authorizer.Attributes, namespace string, verbs ...string) verdict {
	switch {
	case !isOneOf(a.GetVerb(), verbs) || a.GetSubresource() != "":
		return verdict("can only " + strings.Join(verbs, ", ") + " objects of this type")
	case a.GetNamespace() != namespace:
		return verdict("can only access objects of this type in the namespace " + namespace)
	case a.GetName() != node && !(a.GetVerb() == "create" && a.GetName() == ""):
		return verdict("can only access the object with the node's own name")
	}
	return allowed
}

// ownNode lets a node read and write itself. Upstream: KEP-4601.
func ownNode(node string, a authorizer.Attributes) verdict {
	switch a.GetVerb() {
	case "create", "update", "patch":
		if a.GetSubresource() == "" || a.GetSubresource() == "status" && a.GetVerb() != "create" {
			return allowed // which node is NodeRestriction's question
		}
	case "get", "list", "watch":
		if a.GetSubresource() == "" && a.GetName() == node {
			return allowed
		}
		return verdict("node '" + node + "' cannot read '" + a.GetName() + "', only its own Node object")
	}
	return "no rule lets a node do this to nodes"
}

// ownSlices lets a node handle the resource slices that name it.
func ownSlices(node string, a authorizer.Attributes) verdict {
	switch a.GetVerb() {
	case "get", "create", "update", "patch", "delete":
		return allowed // which slice is NodeRestriction's question
	case "list", "watch", "deletecollection":
		if selects(a, "spec.nodeName", node) {
			return allowed
		}
		return "can only list/watch/deletecollection resourceslices with nodeName field selector"
	}
	return "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection"
}

// selects tells whether the request's field selector pins a field to a value.
func selects(a authorizer.Attributes, field, value string) bool {
	requirements, err := a.GetFieldSelector()
	if err != nil {
		return false
	}
	for _, r := range requirements {
		if r.Field == field && r.Value == value && (r.Operator == selection.Equals || r.Operator == selection.DoubleEquals) {
			return true
		}
	}
	return false
}

func isOneOf(value string, list []string) bool {
	for _, v := range list {
		if v == value {
			return true
		}
	}
	return false
}

// anyPod tells whether a pod bound to the node satisfies fn.
func (n *Authorizer) anyPod(node string, fn func(*corev1.Pod) bool) bool {
	found := false
	each := func(item *cache.Item) bool {
		pod := item.Object.(*corev1.Pod)
		found = pod.Spec.NodeName == node && fn(pod)
		return !found
	}
	snapshot := n.pods.Snapshot()
	if !snapshot.ByField("spec.nodeName", node, each) {
		snapshot.Ascend("", "", "", each)
	}
	return found
}
