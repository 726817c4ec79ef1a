// Package localvolume is what the provisioner of volumes on nodes' disks, the
// nodes that hold them and the API server's authorizer agree on. It is pure.
package localvolume

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// Provisioner is the name that storage classes give.
	Provisioner = "knarr.io/local"
	// Folder is the annotation of a node that says where its volumes lie: an
	// absolute path.
	Folder = "knarr.io/local-volumes"
	// sizeEnforced is the annotation of a volume that says whether its size is
	// a limit.
	sizeEnforced = "knarr.io/size-enforced"
	// limitParameter of a storage class says what makes its volumes' sizes
	// limits: nothing (limitNone, as without it), or that each is a file system
	// in a file.
	limitParameter, limitNone, limitFile = "limit", "none", "file"

	provisionedBy = "pv.kubernetes.io/provisioned-by"
	namePrefix    = "pvc-"
)

// nameFor is the name of the volume of the claim with a uid. It is never used
// again.
func nameFor(claimUID string) string { return namePrefix + claimUID }

// HasName tells whether a volume of ours could have the name.
func HasName(name string) bool {
	return strings.HasPrefix(name, namePrefix) && !strings.ContainsAny(name, "/\x00")
}

// Ours tells whether the provisioner made a volume.
func Ours(v *corev1.PersistentVolume) bool {
	return v.Annotations[provisionedBy] == Provisioner && v.Spec.Local != nil && HasName(v.Name)
}

// Limited tells whether the size of a volume of ours is a limit.
func Limited(v *corev1.PersistentVolume) bool {
	return Ours(v) && v.Annotations[sizeEnforced] == "true"
}

// Limit tells whether a storage class with these parameters wants sizes to be
// limits.
func Limit(parameters map[string]string) (bool, error) {
	for name, value := range parameters {
		if name != limitParameter || value != limitNone && value != limitFile {
			return false, fmt.Errorf("the storage class has the parameter %s: %q, and may have %s: %q or %q alone", name, value, limitParameter, limitNone, limitFile)
		}
	}
	return parameters[limitParameter] == limitFile, nil
}

// On tells whether a volume of ours lies on a node.
func On(v *corev1.PersistentVolume, node string) bool {
	return Ours(v) && v.Annotations[nodeAnnotation] == node
}

// nodeAnnotation names a volume's node; its affinity names the host, which may
// be called otherwise.
const nodeAnnotation = "knarr.io/node"

// New is the volume of a claim on a node, below the node's folder. limited
// makes its size a limit.
func New(claim *corev1.PersistentVolumeClaim, node *corev1.Node, policy corev1.PersistentVolumeReclaimPolicy, class string, limited bool) *corev1.PersistentVolume {
	name, mode := nameFor(string(claim.UID)), corev1.PersistentVolumeFilesystem
	out := &corev1.PersistentVolume{}
	out.Name = name
	out.Annotations = map[string]string{provisionedBy: Provisioner, nodeAnnotation: node.Name, sizeEnforced: strconv.FormatBool(limited)}
	out.Spec = corev1.PersistentVolumeSpec{
		Capacity:         corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage].DeepCopy()},
		AccessModes:      slices.Clone(claim.Spec.AccessModes),
		StorageClassName: class, PersistentVolumeReclaimPolicy: policy, VolumeMode: &mode,
		ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		PersistentVolumeSource: corev1.PersistentVolumeSource{
			Local: &corev1.LocalVolumeSource{Path: strings.TrimSuffix(node.Annotations[Folder], "/") + "/" + name},
		},
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{
				Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node.Labels[corev1.LabelHostname]},
			}},
		}}}},
	}
	return out
}
