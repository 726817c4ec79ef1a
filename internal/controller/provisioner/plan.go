package provisioner

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/controller/internal/storage"
)

// asked tells whether a claim waits for a volume of this provisioner.
func asked(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil && claim.Annotations[storage.Provisioner] == localvolume.Provisioner
}

// errNode is said of the node that was chosen: another might do.
var errNode = errors.New("does not hold volumes on its disk, or is not there")

// plan is the volume to make for a claim that asks for one. node finds a node;
// with an empty name, any that holds volumes.
func plan(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, node func(name string) *corev1.Node) (*corev1.PersistentVolume, error) {
	if mode := claim.Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeBlock {
		return nil, fmt.Errorf("volumes on a node's disk are file systems: a claim with volumeMode Block needs another storage class")
	}
	for _, mode := range claim.Spec.AccessModes {
		if mode != corev1.ReadWriteOnce && mode != corev1.ReadWriteOncePod {
			return nil, fmt.Errorf("a volume on a node's disk is %s or %s, not %s", corev1.ReadWriteOnce, corev1.ReadWriteOncePod, mode)
		}
	}
	if claim.Spec.Selector != nil {
		return nil, fmt.Errorf("claim.spec.selector is not supported where volumes are made for claims")
	}
	name := claim.Annotations[storage.SelectedNode]
	n := node(name)
	if n == nil || !holds(n) {
		if name == "" {
			return nil, fmt.Errorf("no node holds volumes on its disk")
		}
		return nil, fmt.Errorf("node %q %w", name, errNode)
	}
	limited, err := localvolume.Limit(class.Parameters)
	if err != nil {
		return nil, err
	}
	policy := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	return localvolume.New(claim, n, policy, class.Name, limited), nil
}

// holds tells whether a node holds volumes on its disk.
func holds(n *corev1.Node) bool { return n.Annotations[localvolume.Folder] != "" }

// first is the node that holds volumes whose name is the first.
func first(nodes []*corev1.Node) *corev1.Node {
	nodes = slices.DeleteFunc(nodes, func(n *corev1.Node) bool { return !holds(n) || n.Spec.Unschedulable })
	var out *corev1.Node
	for _, n := range nodes {
		if out == nil || n.Name < out.Name {
			out = n
		}
	}
	return out
}

// grown tells whether a bound claim asks for more than its volume has.
func grown(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	want, have := claim.Spec.Resources.Requests[corev1.ResourceStorage], v.Spec.Capacity[corev1.ResourceStorage]
	return localvolume.Ours(v) && claim.DeletionTimestamp == nil && want.Cmp(have) > 0
}

// reclaimed tells whether a volume's claim is gone and the volume to be
// deleted with its files.
func reclaimed(v *corev1.PersistentVolume) bool {
	return localvolume.Ours(v) && v.DeletionTimestamp == nil && v.Status.Phase == corev1.VolumeReleased &&
		v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
}

// behind tells whether a claim's status does not show its volume's size yet.
func behind(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	shown, have := claim.Status.Capacity[corev1.ResourceStorage], v.Spec.Capacity[corev1.ResourceStorage]
	return localvolume.Ours(v) && shown.Cmp(have) < 0
}

// pending is a claim of a volume whose node is to grow it, with the condition
// that says so (KEP-1790); nil where it says so already, or has its size.
func pending(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume, now metav1.Time) *corev1.PersistentVolumeClaim {
	said := func(c corev1.PersistentVolumeClaimCondition) bool {
		return c.Type == corev1.PersistentVolumeClaimFileSystemResizePending
	}
	if !behind(claim, v) || slices.ContainsFunc(claim.Status.Conditions, said) {
		return nil
	}
	out := claim.DeepCopy()
	out.Status.AllocatedResources = v.Spec.Capacity.DeepCopy()
	out.Status.Conditions = append(out.Status.Conditions, corev1.PersistentVolumeClaimCondition{
		Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue, LastTransitionTime: now,
		Message: "Waiting for user to (re-)start a pod to finish file system resize of volume on node.",
	})
	return out
}
