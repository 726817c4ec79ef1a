package statefulset

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestScenarios plays the texts in testdata; run it with -rewrite to take the
// present output over. The commands:
//
//	new replicas=N [and what edit takes]
//	    a set of image v1
//	edit [replicas=N] [image=I] [parallel] [ondelete] [partition=N] [unavailable=X] [start=N] [minready=N]
//	     [claims=TEMPLATE] [scaled=Delete] [deleted=Delete]
//	    what a user does
//	sync
//	    one run of the controller, which sees everything
//	ready|unready|fail|delete|gone ORDINAL...
//	    what becomes of pods; delete is a user's
//	settle
//	    until nothing moves
//	wait SECONDS
//	    time passes
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				w = newWorld(0)
				editSet(t, d, w.set)
			case "edit":
				w.edit(func(set *appsv1.StatefulSet) { editSet(t, d, set) })
			case "sync":
				w.seeAll()
				w.reconcile()
			case "settle":
				w.settle()
			case "wait":
				w.now = w.now.Add(time.Duration(number(t, d, d.CmdArgs[0].Key)) * time.Second)
			default:
				for _, arg := range d.CmdArgs {
					w.happen(t, d, number(t, d, arg.Key))
				}
			}
			return w.describe()
		})
	})
}

func (w *world) happen(t *testing.T, d *datadriven.TestData, ordinal int) {
	switch d.Cmd {
	case "ready":
		w.ready(ordinal)
	case "unready":
		w.unready(ordinal)
	case "fail":
		w.change(ordinal, func(p *corev1.Pod) { p.Status.Phase, p.Status.Conditions = corev1.PodFailed, nil })
	case "delete":
		w.change(ordinal, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: w.now} })
	case "gone":
		w.gone(ordinal)
	default:
		d.Fatalf(t, "no such command")
	}
}

func number(t *testing.T, d *datadriven.TestData, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return n
}

func editSet(t *testing.T, d *datadriven.TestData, set *appsv1.StatefulSet) {
	s := &set.Spec
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "replicas":
			n := int32(number(t, d, value))
			s.Replicas = &n
		case "image":
			s.Template.Spec.Containers[0].Image = value
		case "parallel":
			s.PodManagementPolicy = appsv1.ParallelPodManagement
		case "ondelete":
			s.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
		case "partition":
			n := int32(number(t, d, value))
			s.UpdateStrategy.RollingUpdate.Partition = &n
		case "unavailable":
			n := intstr.Parse(value)
			s.UpdateStrategy.RollingUpdate.MaxUnavailable = &n
		case "start":
			s.Ordinals = &appsv1.StatefulSetOrdinals{Start: int32(number(t, d, value))}
		case "minready":
			s.MinReadySeconds = int32(number(t, d, value))
		case "claims":
			s.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: value}}}
		case "scaled", "deleted":
			retain(s, arg.Key, appsv1.PersistentVolumeClaimRetentionPolicyType(value))
		default:
			d.Fatalf(t, "no such argument: %s", arg.Key)
		}
	}
}

func retain(s *appsv1.StatefulSetSpec, when string, what appsv1.PersistentVolumeClaimRetentionPolicyType) {
	p := appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	if s.PersistentVolumeClaimRetentionPolicy != nil {
		p = *s.PersistentVolumeClaimRetentionPolicy
	}
	if when == "scaled" {
		p.WhenScaled = what
	} else {
		p.WhenDeleted = what
	}
	s.PersistentVolumeClaimRetentionPolicy = &p
}
