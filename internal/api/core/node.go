package core

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

func nodeKind() *api.Kind {
	return api.Spec[*corev1.Node]{
		Version: version, Name: "Node", Resource: "nodes", Singular: "node",
		ShortNames: []string{"no"},
		New:        func() *corev1.Node { return &corev1.Node{} },
		NewList:    func() runtime.Object { return &corev1.NodeList{} },
		Main: api.RulesOf[*corev1.Node]{
			MetaAgain:     true,
			Default:       defaultNode,
			PrepareCreate: func(n *corev1.Node) { n.Spec.ConfigSource, n.Status.Config = nil, nil },
			PrepareUpdate: func(n, old *corev1.Node) {
				n.Status = old.Status
				if old.Spec.ConfigSource == nil {
					n.Spec.ConfigSource = nil
				}
			},
			Validate:       validateNode,
			ValidateUpdate: validateNodeUpdate,
			Warn:           func(n, _ *corev1.Node, _ bool) []string { return warnNode(n) },
		},
		Status: &api.RulesOf[*corev1.Node]{
			Default: defaultNode,
			PrepareUpdate: func(n, old *corev1.Node) {
				n.Spec = old.Spec
				if old.Status.Config == nil { // of a feature that is gone
					n.Status.Config = nil
				}
			},
			ValidateUpdate: validateNodeChange,
		},
		Subresources:        []api.Subresource{{Name: "proxy", GVK: gvk("NodeProxyOptions"), Verbs: connectVerbs()}},
		Columns:             nodeColumns(),
		Row:                 nodeRow,
		Fields:              nodeFields,
		FieldNames:          []string{"spec.unschedulable"},
		UnconditionalUpdate: true,
	}.Kind()
}

func nodeFields(n *corev1.Node) fields.Set {
	if n.Spec.Unschedulable {
		return fields.Set{"spec.unschedulable": "true"}
	}
	return fields.Set{"spec.unschedulable": "false"}
}

func defaultNode(n *corev1.Node) {
	if n.Spec.PodCIDR != "" && (len(n.Spec.PodCIDRs) == 0 || n.Spec.PodCIDRs[0] != n.Spec.PodCIDR) {
		n.Spec.PodCIDRs = []string{n.Spec.PodCIDR}
	}
	if n.Spec.PodCIDR == "" && len(n.Spec.PodCIDRs) > 0 {
		n.Spec.PodCIDR = n.Spec.PodCIDRs[0]
	}
	roundResources(n.Status.Capacity)
	roundResources(n.Status.Allocatable)
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	for i := range n.Status.Images {
		n.Status.Images[i].Names = nilIfEmpty(n.Status.Images[i].Names)
	}
}

func warnNode(n *corev1.Node) []string {
	var out []string
	if n.Spec.ConfigSource != nil {
		out = append(out, "spec.configSource: the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		out = append(out, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	return out
}

func nodeColumns() []api.Column {
	info, status := corev1.NodeSystemInfo{}, corev1.NodeStatus{}
	return []api.Column{
		column.Name(),
		column.Text("Status", "The status of the node"),
		column.Text("Roles", "The roles of the node"),
		column.Age(),
		column.Text("Version", column.Doc(info, "kubeletVersion")),
		column.Wide(column.Text("Internal-IP", column.Doc(status, "addresses"))),
		column.Wide(column.Text("External-IP", column.Doc(status, "addresses"))),
		column.Wide(column.Text("OS-Image", column.Doc(info, "osImage"))),
		column.Wide(column.Text("Kernel-Version", column.Doc(info, "kernelVersion"))),
		column.Wide(column.Text("Container-Runtime", column.Doc(info, "containerRuntimeVersion"))),
	}
}

func nodeRow(n *corev1.Node, now time.Time) []any {
	info := &n.Status.NodeInfo
	kernel := info.KernelVersion
	if kernel != "" && info.Architecture != "" {
		kernel += " (" + info.Architecture + ")"
	}
	return []any{
		n.Name, nodeStatus(n), column.OrNone(strings.Join(nodeRoles(n), ",")), column.Since(n.CreationTimestamp, now),
		info.KubeletVersion, nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
		orUnknown(info.OSImage), orUnknown(kernel), orUnknown(info.ContainerRuntimeVersion),
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "<unknown>"
	}
	return s
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		status = "NotReady"
		if c.Status == corev1.ConditionTrue {
			status = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func nodeAddress(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return column.None
}

// nodeRoles come from the labels node-role.kubernetes.io/ROLE and the older
// kubernetes.io/role=ROLE.
func nodeRoles(n *corev1.Node) []string {
	var roles []string
	for key, value := range n.Labels {
		if role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/"); ok && role != "" {
			roles = append(roles, role)
		}
		if key == "kubernetes.io/role" && value != "" {
			roles = append(roles, value)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}
