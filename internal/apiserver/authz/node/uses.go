package node

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/component-helpers/storage/ephemeral"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// unrelated is upstream's reason for an object that no pod of the node uses.
func unrelated(node string) verdict {
	return verdict("no relationship found between node '" + node + "' and this object")
}

// read lets a node read one object at a time that a pod of its uses. Verbs
// default to get, list and watch (of one name by field selector).
func (n *Authorizer) read(node string, a authorizer.Attributes, uses func(*corev1.Pod, string) bool, verbs ...string) verdict {
	if len(verbs) == 0 {
		verbs = []string{"get", "list", "watch"}
	}
	switch {
	case !isOneOf(a.GetVerb(), verbs):
		return "can only read resources of this type"
	case a.GetSubresource() != "":
		return "cannot read subresource"
	case a.GetName() == "":
		return "No Object name found"
	}
	if n.anyPod(node, func(p *corev1.Pod) bool { return p.Namespace == a.GetNamespace() && uses(p, a.GetName()) }) {
		return allowed
	}
	return unrelated(node)
}

// pod lets a node list its own pods, read them, and report on them.
func (n *Authorizer) pod(node string, a authorizer.Attributes) verdict {
	switch sub := a.GetSubresource(); {
	case sub == "" && (a.GetVerb() == "create" || a.GetVerb() == "delete"):
		return allowed // which pod is NodeRestriction's question
	case sub == "status" && (a.GetVerb() == "update" || a.GetVerb() == "patch"):
		return allowed
	case sub == "eviction" && a.GetVerb() == "create":
		return allowed
	case sub != "":
		return "cannot use this subresource of pods"
	}
	switch a.GetVerb() {
	case "get":
		mine := n.anyPod(node, func(p *corev1.Pod) bool { return p.Namespace == a.GetNamespace() && p.Name == a.GetName() })
		if !mine {
			return unrelated(node)
		}
		return allowed
	case "list", "watch":
		if !selects(a, "spec.nodeName", node) {
			return "can only list/watch pods with spec.nodeName field selector"
		}
		return allowed
	}
	return "no rule lets a node do this to pods"
}

// serviceAccount lets a node read the accounts of its pods and request their
// tokens.
func (n *Authorizer) serviceAccount(node string, a authorizer.Attributes) verdict {
	uses := func(p *corev1.Pod) bool {
		return p.Namespace == a.GetNamespace() && p.Spec.ServiceAccountName == a.GetName()
	}
	switch {
	case a.GetName() == "":
		return "No Object name found"
	case a.GetVerb() == "create" && a.GetSubresource() == "token", a.GetVerb() == "get" && a.GetSubresource() == "":
		if n.anyPod(node, uses) {
			return allowed
		}
		return unrelated(node)
	}
	return "can only get service accounts and create their tokens"
}

func (n *Authorizer) claim(node string, a authorizer.Attributes) verdict {
	switch sub := a.GetSubresource(); {
	case sub == "":
		return n.read(node, a, usesClaim, "get")
	case sub == "status" && isOneOf(a.GetVerb(), []string{"get", "update", "patch"}):
		if n.anyPod(node, func(p *corev1.Pod) bool { return p.Namespace == a.GetNamespace() && usesClaim(p, a.GetName()) }) {
			return allowed
		}
		return unrelated(node)
	}
	return "can only get, update and patch the status of claims"
}

// volume lets a node read the volumes bound to the claims of its pods.
func (n *Authorizer) volume(node string, a authorizer.Attributes) verdict {
	if n.volumes != nil && n.localVolume(node, a) {
		return allowed
	}
	if a.GetVerb() != "get" || a.GetSubresource() != "" {
		return "can only get individual resources of this type"
	}
	if n.volumes == nil || n.claims == nil {
		return unrelated(node)
	}
	item, ok := n.volumes.Get("", a.GetName())
	if !ok || item.Object.(*corev1.PersistentVolume).Spec.ClaimRef == nil {
		return unrelated(node)
	}
	ref := item.Object.(*corev1.PersistentVolume).Spec.ClaimRef
	if n.anyPod(node, func(p *corev1.Pod) bool { return p.Namespace == ref.Namespace && usesClaim(p, ref.Name) }) {
		return allowed
	}
	return unrelated(node)
}

// localVolume lets a node follow the volumes that were provisioned on its
// disk, and see that one is gone: it has to delete the files.
func (n *Authorizer) localVolume(node string, a authorizer.Attributes) bool {
	if !isOneOf(a.GetVerb(), []string{"get", "list", "watch"}) || a.GetSubresource() != "" || !localvolume.HasName(a.GetName()) {
		return false
	}
	item, ok := n.volumes.Get("", a.GetName())
	return !ok || localvolume.On(item.Object.(*corev1.PersistentVolume), node)
}

// attachment lets a node read the attachments to itself.
func (n *Authorizer) attachment(node string, a authorizer.Attributes) verdict {
	if a.GetVerb() != "get" || a.GetSubresource() != "" {
		return "can only get individual resources of this type"
	}
	if n.attachments == nil {
		return unrelated(node)
	}
	if item, ok := n.attachments.Get("", a.GetName()); ok && attachedTo(item, node) {
		return allowed
	}
	return unrelated(node)
}

func usesClaim(p *corev1.Pod, name string) bool {
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == name {
			return true
		}
		if v.Ephemeral != nil && ephemeral.VolumeClaimName(p, v) == name {
			return true
		}
	}
	return false
}

func usesResourceClaim(p *corev1.Pod, name string) bool {
	for _, c := range p.Spec.ResourceClaims {
		if c.ResourceClaimName != nil && *c.ResourceClaimName == name {
			return true
		}
	}
	for _, s := range p.Status.ResourceClaimStatuses {
		if s.ResourceClaimName != nil && *s.ResourceClaimName == name {
			return true
		}
	}
	return false
}

func attachedTo(item *cache.Item, node string) bool {
	attachment, ok := item.Object.(*storagev1.VolumeAttachment)
	return ok && attachment.Spec.NodeName == node
}
