package volumebinder

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/controller/internal/storage"
)

// note is an event about a claim or volume.
type note struct {
	warning         bool
	reason, message string
}

// world is what a claim's plan looks at.
type world struct {
	volumes []*corev1.PersistentVolume
	classes []*storagev1.StorageClass
	// pods are those that use the claim.
	pods []*corev1.Pod
}

func (w *world) volume(name string) *corev1.PersistentVolume {
	for _, v := range w.volumes {
		if v.Name == name {
			return v
		}
	}
	return nil
}

func (w *world) class(name string) *storagev1.StorageClass {
	for _, c := range w.classes {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// claimPlan is what to do with a claim; at most one of bind, setClass and
// provisioner is set.
type claimPlan struct {
	bind        *corev1.PersistentVolume // bind to it, or finish doing so
	setClass    string                   // give it the default class
	provisioner string                   // ask it for a volume
	node        string                   // on which the volume is needed, where the scheduler did not say
	phase       corev1.PersistentVolumeClaimPhase
	note        *note
}

// planClaim decides about one claim.
func planClaim(claim *corev1.PersistentVolumeClaim, w *world) claimPlan {
	if _, completed := claim.Annotations[storage.BindCompleted]; completed {
		return planBound(claim, w)
	}
	if claim.Spec.VolumeName == "" {
		return planUnbound(claim, w)
	}
	pending := claimPlan{phase: corev1.ClaimPending}
	v := w.volume(claim.Spec.VolumeName)
	switch {
	case v == nil:
	case v.Spec.ClaimRef == nil:
		if why := unfit(claim, v); why != "" {
			pending.note = &note{true, "VolumeMismatch", fmt.Sprintf("Cannot bind to requested volume %q: %s", v.Name, why)}
			return pending
		}
		return claimPlan{bind: v}
	case storage.Refers(v, claim):
		return claimPlan{bind: v}
	default:
		pending.note = &note{true, "FailedBinding", fmt.Sprintf("volume %q already bound to a different claim.", v.Name)}
	}
	return pending
}

// planBound looks after a claim that was bound once: it stays with its volume
// or is lost.
func planBound(claim *corev1.PersistentVolumeClaim, w *world) claimPlan {
	lost := func(reason, message string) claimPlan {
		return claimPlan{phase: corev1.ClaimLost, note: &note{true, reason, message}}
	}
	if claim.Spec.VolumeName == "" {
		return lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
	}
	v := w.volume(claim.Spec.VolumeName)
	switch {
	case v == nil:
		return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
	case v.Spec.ClaimRef == nil, v.Spec.ClaimRef.UID == claim.UID, storage.Refers(v, claim):
		return claimPlan{bind: v, note: growing(claim, v)}
	}
	return lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
}

// growing says who is waited for where a bound claim asks for more than it
// has; volumes on nodes' disks are the provisioner's to grow.
func growing(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) *note {
	want, have := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	if claim.Status.Phase != corev1.ClaimBound || want.Cmp(have) <= 0 || localvolume.Ours(v) {
		return nil
	}
	return &note{false, "ExternalExpanding", "waiting for an external controller to expand this PVC"}
}

// planUnbound finds a volume for a claim that has none.
func planUnbound(claim *corev1.PersistentVolumeClaim, w *world) claimPlan {
	className, named := storage.ClassOf(claim)
	class := w.class(className)
	node := nodeOf(claim, w.pods)
	waits := storage.Waits(class) && node == ""
	// Where claims wait, the scheduler sets volumes aside for them.
	v, err := match(claim, w.volumes, storage.Waits(class))
	if err != nil {
		return claimPlan{phase: corev1.ClaimPending, note: &note{true, "FailedBinding", err.Error()}}
	}
	if v != nil {
		return claimPlan{bind: v}
	}
	out := claimPlan{phase: corev1.ClaimPending}
	if !named {
		if c := storage.Default(w.classes); c != nil {
			return claimPlan{setClass: c.Name, phase: corev1.ClaimPending}
		}
	}
	switch {
	case waits:
		out.note = waiting(w.pods)
	case className == "":
		out.note = &note{false, "FailedBinding", "no persistent volumes available for this claim and no storage class is set"}
	case class == nil:
		out.note = &note{true, "ProvisioningFailed", fmt.Sprintf("storageclass.storage.k8s.io %q not found", className)}
	case strings.HasPrefix(class.Provisioner, "kubernetes.io/"):
		out.note = &note{true, "ProvisioningFailed", "no volume plugin matched name: " + class.Provisioner}
	default:
		out.provisioner, out.node = class.Provisioner, node
		out.note = &note{false, "ExternalProvisioning", fmt.Sprintf("Waiting for a volume to be created either by the external provisioner '%s' or manually by the system administrator. "+
			"If volume creation is delayed, please verify that the provisioner is running and correctly registered.", class.Provisioner)}
	}
	return out
}

// nodeOf is the node on which a claim's volume is needed: what the scheduler
// wrote, or where a pod that uses the claim lies already, as one does whose
// spec names its node. Empty: not known yet.
func nodeOf(claim *corev1.PersistentVolumeClaim, pods []*corev1.Pod) string {
	if node := claim.Annotations[storage.SelectedNode]; node != "" {
		return node
	}
	for _, pod := range pods {
		if pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil {
			return pod.Spec.NodeName
		}
	}
	return ""
}

func waiting(pods []*corev1.Pod) *note {
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil {
			return &note{false, "WaitForPodScheduled", fmt.Sprintf("waiting for pod %s to be scheduled", pod.Name)}
		}
	}
	return &note{false, "WaitForFirstConsumer", "waiting for first consumer to be created before binding"}
}
