package attachdetach

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestScenarios plays the texts in testdata; run it with -rewrite to take the
// present output over. Each command is followed by runs of the controller for
// every node until nothing changes. The commands:
//
//	volume NAME [shared]
//	node NAME [sick] [out-of-service]
//	pod NAME NODE VOLUME...
//	end POD
//	mounted NODE [VOLUME...]
//	    what the node has in use
//	attached NODE VOLUME
//	detached NODE VOLUME
//	    what the driver reports, and does with an attachment that goes
//	lost NODE
//	wait MINUTES
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := &world{volumes: map[string]*corev1.PersistentVolume{}, nodes: map[string]*corev1.Node{}, pods: map[string][]string{},
			have: map[string]*storagev1.VolumeAttachment{}, unwanted: map[string]time.Time{}, left: map[string][]corev1.UniqueVolumeName{}, now: time.Unix(1000, 0)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.command(t, d)
			for range 4 {
				w.run()
			}
			return w.describe()
		})
	})
}

type world struct {
	volumes  map[string]*corev1.PersistentVolume
	nodes    map[string]*corev1.Node
	pods     map[string][]string // the node, then volumes
	have     map[string]*storagev1.VolumeAttachment
	unwanted map[string]time.Time
	left     map[string][]corev1.UniqueVolumeName // what lost nodes had mounted
	now      time.Time
	refused  []string
}

func (w *world) command(t *testing.T, d *datadriven.TestData) {
	var args []string
	for _, a := range d.CmdArgs {
		args = append(args, a.Key)
	}
	switch d.Cmd {
	case "volume":
		v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: args[0]}}
		v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "disk.example.com", VolumeHandle: args[0]}
		v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		if len(args) > 1 {
			v.Spec.AccessModes[0] = corev1.ReadWriteMany
		}
		w.volumes[args[0]] = v
	case "node":
		w.node(args)
	case "pod":
		w.pods[args[0]] = args[1:]
	case "end":
		delete(w.pods, args[0])
	case "mounted":
		n := w.nodes[args[0]]
		n.Status.VolumesInUse = nil
		for _, v := range args[1:] {
			n.Status.VolumesInUse = append(n.Status.VolumesInUse, uniqueName(w.volumes[v]))
		}
	case "attached":
		w.have[attachmentName(w.volumes[args[1]], args[0])].Status.Attached = true
	case "detached":
		name := attachmentName(w.volumes[args[1]], args[0])
		if w.have[name].DeletionTimestamp == nil {
			d.Fatalf(t, "nobody asked for that")
		}
		delete(w.have, name)
	case "lost":
		w.left[args[0]] = w.nodes[args[0]].Status.VolumesInUse
		delete(w.nodes, args[0])
	case "wait":
		minutes, err := time.ParseDuration(args[0] + "m")
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		w.now = w.now.Add(minutes)
	default:
		d.Fatalf(t, "no such command")
	}
}

func (w *world) node(args []string) {
	n := w.nodes[args[0]]
	if n == nil {
		n = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: args[0]}}
		delete(w.left, args[0])
		w.nodes[args[0]] = n
	}
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue}
	n.Spec.Taints = nil
	for _, a := range args[1:] {
		if a == "sick" {
			ready.Status = corev1.ConditionUnknown
		} else {
			n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}}
		}
	}
	n.Status.Conditions = []corev1.NodeCondition{ready}
}

// run plans and applies for every node, as the controller does.
func (w *world) run() {
	names := map[string]bool{}
	for name := range w.nodes {
		names[name] = true
	}
	for _, a := range w.have {
		names[a.Spec.NodeName] = true
	}
	w.refused = nil
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s := w.situation(name)
		p := makePlan(s)
		if p.set {
			s.node.Status.VolumesAttached = p.attached
		}
		for _, a := range p.remove {
			a.DeletionTimestamp = &metav1.Time{Time: w.now}
			if !a.Status.Attached {
				delete(w.have, a.Name)
			}
		}
		for _, a := range p.create {
			w.have[a.Name] = a
		}
		for _, r := range p.refused {
			w.refused = append(w.refused, fmt.Sprintf("%s may not have %s", name, r.volume.Name))
		}
	}
}

func (w *world) situation(node string) situation {
	s := situation{node: w.nodes[node], name: node, now: w.now, volume: func(name string) *corev1.PersistentVolume { return w.volumes[name] }}
	needed := map[string]bool{}
	for _, pod := range slices.Sorted(maps.Keys(w.pods)) {
		if on := w.pods[pod]; on[0] == node {
			for _, v := range on[1:] {
				s.want = append(s.want, want{volume: w.volumes[v], pods: []*corev1.Pod{{}}})
				needed[attachmentName(w.volumes[v], node)] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.have)) {
		if w.have[name].Spec.NodeName != node {
			continue
		}
		s.have = append(s.have, w.have[name])
		if needed[name] {
			delete(w.unwanted, name)
		} else if _, known := w.unwanted[name]; !known {
			w.unwanted[name] = w.now
		}
	}
	inUse := w.left[node]
	if s.node != nil {
		inUse = s.node.Status.VolumesInUse
	}
	s.inUse = func(name corev1.UniqueVolumeName) bool { return slices.Contains(inUse, name) }
	s.unwanted = func(name string) time.Time { return w.unwanted[name] }
	s.elsewhere = func(volume string) []string {
		var out []string
		for _, a := range w.have {
			if *a.Spec.Source.PersistentVolumeName == volume && a.Spec.NodeName != node {
				out = append(out, a.Spec.NodeName)
			}
		}
		return out
	}
	return s
}

func (w *world) describe() string {
	var lines []string
	for _, a := range w.have {
		line := fmt.Sprintf("attachment of %s to %s by %s", *a.Spec.Source.PersistentVolumeName, a.Spec.NodeName, a.Spec.Attacher)
		if a.Status.Attached {
			line += " attached"
		}
		if a.DeletionTimestamp != nil {
			line += " going"
		}
		lines = append(lines, line)
	}
	for name, n := range w.nodes {
		for _, a := range n.Status.VolumesAttached {
			lines = append(lines, fmt.Sprintf("node %s has %s", name, a.Name))
		}
	}
	if len(lines) == 0 {
		return "nothing\n"
	}
	slices.Sort(lines)
	return strings.Join(append(lines, w.refused...), "\n") + "\n"
}
