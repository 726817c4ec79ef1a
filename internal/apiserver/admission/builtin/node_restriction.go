package builtin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

const (
	nodeUserPrefix = "system:node:"
	nodesGroup     = "system:nodes"
	leaseNamespace = "kube-node-lease"
)

// nodeRestriction lets a node agent write only its own node, its lease, and
// the pods bound to it.
func nodeRestriction(l lookup) admission.Plugin {
	return admission.Plugin{Name: "NodeRestriction", Validate: func(_ context.Context, a *admission.Attributes) error {
		name, isNode := nodeName(a.User)
		if !isNode {
			return nil
		}
		switch a.Kind.GVK.Group + "/" + a.Kind.Resource {
		case "/pods":
			return restrictPods(l, a, name)
		case "/nodes":
			return restrictNode(a, name)
		case "/serviceaccounts":
			return restrictToken(l, a, name)
		case "coordination.k8s.io/leases":
			return restrictLease(a, name)
		}
		return nil
	}}
}

// nodeName is the node that a user is; users of the nodes' group without a
// proper name are no node, and are allowed nothing by the authorizer.
func nodeName(u user.Info) (string, bool) {
	if u == nil || !slices.Contains(u.GetGroups(), nodesGroup) {
		return "", false
	}
	return strings.CutPrefix(u.GetName(), nodeUserPrefix)
}

func refuse(a *admission.Attributes, format string, args ...any) error {
	return admission.Forbidden(a, fmt.Errorf(format, args...))
}

func restrictPods(l lookup, a *admission.Attributes, node string) error {
	switch {
	case a.Subresource == "" && a.Operation == admission.Create:
		return restrictMirrorPod(a, node)
	case a.Subresource == "" && a.Operation == admission.Delete, a.Subresource == "status" && a.Operation == admission.Update:
		pod, isPod := a.Old.(*corev1.Pod)
		if !isPod || pod.Spec.NodeName != node {
			return refuse(a, "node %q can only %s pods with spec.nodeName set to itself", node, podVerb(a))
		}
		if now, isPod := a.Object.(*corev1.Pod); isPod && !maps.Equal(now.Labels, pod.Labels) {
			return refuse(a, "node %q cannot update labels through pod status", node)
		}
		return nil
	case a.Subresource == "eviction":
		eviction, isEviction := a.Object.(*policyv1.Eviction)
		if !isEviction {
			return refuse(a, "unexpected type %T", a.Object)
		}
		name := a.Name
		if name == "" {
			name = eviction.Name
		}
		pod, found := get[*corev1.Pod](l, "", "v1", "pods", a.Namespace, name)
		if found && pod.Spec.NodeName != node {
			return refuse(a, "node %s can only evict pods with spec.nodeName set to itself", node)
		}
		return nil
	case a.Operation == admission.Update || a.Operation == admission.Create:
		return refuse(a, "unexpected operation %q, node %q can only create and delete mirror pods", a.Operation, node)
	}
	return nil
}

func podVerb(a *admission.Attributes) string {
	if a.Operation == admission.Delete {
		return "delete"
	}
	return "update status for"
}

func restrictMirrorPod(a *admission.Attributes, node string) error {
	pod, isPod := a.Object.(*corev1.Pod)
	if !isPod {
		return refuse(a, "unexpected type %T", a.Object)
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		return refuse(a, "pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	}
	if pod.Spec.NodeName != node {
		return refuse(a, "node %q can only create pods with spec.nodeName set to itself", node)
	}
	if pod.Spec.ServiceAccountName != "" {
		return refuse(a, "node %q can not create pods that reference a service account", node)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil || v.ConfigMap != nil || v.PersistentVolumeClaim != nil || v.Projected != nil {
			return refuse(a, "node %q can not create pods that reference secrets, configmaps, or persistentvolumeclaims", node)
		}
	}
	return nil
}

func restrictNode(a *admission.Attributes, node string) error {
	obj, isNode := a.Object.(*corev1.Node)
	name := a.Name
	if isNode && name == "" {
		name = obj.Name
	}
	if name != node {
		return refuse(a, "node %q is not allowed to modify node %q", node, name)
	}
	if !isNode || a.Operation == admission.Delete {
		return nil
	}
	var had map[string]string
	if old, wasNode := a.Old.(*corev1.Node); wasNode {
		had = old.Labels
		if !apiequality.Semantic.DeepEqual(old.Spec.Taints, obj.Spec.Taints) {
			return refuse(a, "node %q is not allowed to modify taints", node)
		}
	}
	if bad := foreignLabels(had, obj.Labels); len(bad) > 0 {
		return refuse(a, "is not allowed to modify labels: %s", strings.Join(bad, ", "))
	}
	return nil
}

// foreignLabels are the changed labels that only an administrator may set.
func foreignLabels(had, have map[string]string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if was, known := had[key]; (!known || was != have[key]) && reservedLabel(key) {
			out = append(out, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(had)) {
		if _, kept := have[key]; !kept && reservedLabel(key) {
			out = append(out, key)
		}
	}
	return out
}

func reservedLabel(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	if !found {
		return false
	}
	switch key {
	case corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable, corev1.LabelInstanceType, corev1.LabelInstanceTypeStable,
		corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
		"beta.kubernetes.io/os", "beta.kubernetes.io/arch":
		return false
	}
	for _, open := range []string{"kubelet.kubernetes.io", "node.kubernetes.io"} {
		if domain == open || strings.HasSuffix(domain, "."+open) {
			return false
		}
	}
	for _, closed := range []string{"kubernetes.io", "k8s.io"} {
		if domain == closed || strings.HasSuffix(domain, "."+closed) {
			return true
		}
	}
	return false
}

func restrictToken(l lookup, a *admission.Attributes, node string) error {
	if a.Subresource != "token" {
		return nil
	}
	req, isToken := a.Object.(*authenticationv1.TokenRequest)
	if !isToken {
		return refuse(a, "unexpected type %T", a.Object)
	}
	ref := req.Spec.BoundObjectRef
	if ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "" {
		return refuse(a, "node requested token not bound to a pod")
	}
	if ref.UID == "" {
		return refuse(a, "node requested token with a pod binding without a uid")
	}
	pod, found := get[*corev1.Pod](l, "", "v1", "pods", a.Namespace, ref.Name)
	switch {
	case !found:
		return refuse(a, "node requested token bound to a pod that does not exist")
	case pod.UID != ref.UID:
		return refuse(a, "the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case pod.Spec.NodeName != node:
		return refuse(a, "node requested token bound to a pod scheduled on a different node")
	}
	return nil
}

func restrictLease(a *admission.Attributes, node string) error {
	if a.Namespace != leaseNamespace {
		return refuse(a, "can only access leases in the %q system namespace", leaseNamespace)
	}
	name := a.Name
	if a.Operation == admission.Create && name == "" {
		return nil // the API server names it, and validation refuses an empty name
	}
	if name != node {
		return refuse(a, "can only access node lease with the same name as the requesting node")
	}
	return nil
}
