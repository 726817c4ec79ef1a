package attachdetach

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxUnmount is how long a volume that is still mounted holds up its being
// detached from a node that is not healthy, as upstream's.
const maxUnmount = 6 * time.Minute

// want is a volume that pods of a node need attached there.
type want struct {
	volume *corev1.PersistentVolume
	pods   []*corev1.Pod
}

// situation is what a plan for one node is made from.
type situation struct {
	node *corev1.Node // nil: it is gone
	name string
	want []want
	// have are the attachments of the node that are this controller's; volume
	// finds what they attach, nil where it is gone.
	have   []*storagev1.VolumeAttachment
	volume func(name string) *corev1.PersistentVolume
	// inUse tells what the node has mounted, as it said last.
	inUse func(corev1.UniqueVolumeName) bool
	// elsewhere are the other nodes that a volume is attached to.
	elsewhere func(volume string) []string
	// unwanted is since when an attachment is not needed any more.
	unwanted func(attachment string) time.Time
	now      time.Time
}

// plan is what is to be done for a node: the status first, then the rest.
type plan struct {
	// attached is node.status.volumesAttached; set tells that it is to be written.
	attached []corev1.AttachedVolume
	set      bool
	create   []*storagev1.VolumeAttachment
	remove   []*storagev1.VolumeAttachment
	// refused are volumes that are in use on another node.
	refused []want
	// recheck is when a mounted volume of a node that is not healthy is detached
	// all the same; zero: never.
	recheck time.Duration
}

// attachmentName is that of upstream, so that drivers and people find it.
func attachmentName(v *corev1.PersistentVolume, node string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(v.Spec.CSI.VolumeHandle+v.Spec.CSI.Driver+node)))
}

// uniqueName is a volume's name in a node's status.
func uniqueName(v *corev1.PersistentVolume) corev1.UniqueVolumeName {
	return corev1.UniqueVolumeName("kubernetes.io/csi/" + v.Spec.CSI.Driver + "^" + v.Spec.CSI.VolumeHandle)
}

// makePlan compares what a node's pods need with what is attached.
func makePlan(s situation) plan {
	var p plan
	wanted := map[string]bool{}
	have := map[string]*storagev1.VolumeAttachment{}
	for _, a := range s.have {
		have[a.Name] = a
	}
	for _, w := range s.want {
		name := attachmentName(w.volume, s.name)
		wanted[name] = true
		switch {
		case have[name] != nil: // being attached, or attached; one that goes is made again once it is gone
		case s.node == nil:
		case !shareable(w.volume) && len(s.elsewhere(w.volume.Name)) > 0:
			p.refused = append(p.refused, w)
		default:
			p.create = append(p.create, newAttachment(w.volume, s.name, name))
		}
	}
	for _, a := range s.have {
		v := s.volume(*a.Spec.Source.PersistentVolumeName)
		if wanted[a.Name] && a.DeletionTimestamp == nil {
			if a.Status.Attached && v != nil && v.Spec.CSI != nil {
				p.attached = append(p.attached, corev1.AttachedVolume{Name: uniqueName(v)})
			}
			continue
		}
		if a.DeletionTimestamp != nil {
			continue // the driver detaches it
		}
		p.detach(s, a, v)
	}
	slices.SortFunc(p.attached, func(a, b corev1.AttachedVolume) int { return cmp.Compare(a.Name, b.Name) })
	p.set = s.node != nil && !slices.Equal(p.attached, sorted(s.node.Status.VolumesAttached))
	return p
}

// detach removes an attachment that nobody needs, unless the node has the
// volume mounted. Such a node is waited for: forever while it is healthy. One
// that is gone may run on all the same.
func (p *plan) detach(s situation, a *storagev1.VolumeAttachment, v *corev1.PersistentVolume) {
	mounted := v != nil && v.Spec.CSI != nil && s.inUse(uniqueName(v))
	if mounted && (s.node == nil || !outOfService(s.node)) {
		well := s.node != nil && healthy(s.node)
		left := maxUnmount - s.now.Sub(s.unwanted(a.Name))
		if well || left > 0 {
			if !well && (p.recheck == 0 || left < p.recheck) {
				p.recheck = left
			}
			if a.Status.Attached {
				p.attached = append(p.attached, corev1.AttachedVolume{Name: uniqueName(v)})
			}
			return
		}
	}
	p.remove = append(p.remove, a)
}

func newAttachment(v *corev1.PersistentVolume, node, name string) *storagev1.VolumeAttachment {
	return &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: storagev1.VolumeAttachmentSpec{
			Attacher: v.Spec.CSI.Driver, NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &v.Name},
		},
	}
}

// shareable tells whether several nodes may have a volume.
func shareable(v *corev1.PersistentVolume) bool {
	return slices.Contains(v.Spec.AccessModes, corev1.ReadWriteMany) || slices.Contains(v.Spec.AccessModes, corev1.ReadOnlyMany)
}

func healthy(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func outOfService(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}

func sorted(list []corev1.AttachedVolume) []corev1.AttachedVolume {
	return slices.SortedFunc(slices.Values(list), func(a, b corev1.AttachedVolume) int { return cmp.Compare(a.Name, b.Name) })
}
