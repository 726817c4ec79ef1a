package deployment

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestScenarios plays the texts in testdata; run it with -rewrite to take the
// present output over. The commands:
//
//	new replicas=N surge=X unavailable=Y [strategy=Recreate] [deadline=SECONDS] [history=N]
//	    a Deployment of image v1
//	edit [image=I] [replicas=N] [paused=BOOL]
//	    what a user does
//	sync
//	    everybody sees everything; one run of the controller
//	pods [ready=IMAGE:N]
//	    the replica set controller creates and deletes pods and reports; then
//	    so many of the image's become ready
//	settle [broken=IMAGE]
//	    until nothing moves; pods of the broken image never become ready
//	wait SECONDS
//	    time passes
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				w = scenarioWorld(t, d)
				return w.describe()
			case "edit":
				w.edit(func(dep *appsv1.Deployment) { edit(t, d, dep) })
			case "sync":
				w.see("")
				w.reconcile()
			case "pods":
				w.pods(t, d)
			case "settle":
				var broken string
				d.MaybeScanArgs(t, "broken", &broken)
				w.settle(broken)
			case "wait":
				seconds, err := strconv.Atoi(d.CmdArgs[0].Key)
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				w.now = w.now.Add(time.Duration(seconds) * time.Second)
			default:
				d.Fatalf(t, "no such command")
			}
			return w.describe()
		})
	})
}

func scenarioWorld(t *testing.T, d *datadriven.TestData) *world {
	var replicas, deadline, history int
	var surge, unavailable, strategy string
	d.ScanArgs(t, "replicas", &replicas)
	d.MaybeScanArgs(t, "surge", &surge)
	d.MaybeScanArgs(t, "unavailable", &unavailable)
	w := newWorld(int32(replicas), intstr.Parse(surge), intstr.Parse(unavailable))
	if d.MaybeScanArgs(t, "strategy", &strategy) {
		w.d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.DeploymentStrategyType(strategy)}
	}
	if d.MaybeScanArgs(t, "deadline", &deadline) {
		*w.d.Spec.ProgressDeadlineSeconds = int32(deadline)
	}
	if d.MaybeScanArgs(t, "history", &history) {
		*w.d.Spec.RevisionHistoryLimit = int32(history)
	}
	return w
}

func edit(t *testing.T, d *datadriven.TestData, dep *appsv1.Deployment) {
	var image string
	var replicas int
	if d.MaybeScanArgs(t, "image", &image) {
		dep.Spec.Template.Spec.Containers[0].Image = image
	}
	if d.MaybeScanArgs(t, "replicas", &replicas) {
		n := int32(replicas)
		dep.Spec.Replicas = &n
	}
	d.MaybeScanArgs(t, "paused", &dep.Spec.Paused)
}

func (w *world) pods(t *testing.T, d *datadriven.TestData) {
	for _, n := range w.names(w.sets) {
		w.step(n)
	}
	var ready string
	if d.MaybeScanArgs(t, "ready", &ready) {
		image, count, _ := strings.Cut(ready, ":")
		n, err := strconv.Atoi(count)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		for name, rs := range w.sets {
			if rs.Spec.Template.Spec.Containers[0].Image == image {
				w.becomeReady(name, int32(n))
			}
		}
	}
	for _, n := range w.names(w.sets) {
		w.report(n)
	}
}

// describe is what was written since, the sets, and the Deployment's status.
// Sets are called by their image.
func (w *world) describe() string {
	var b strings.Builder
	var pairs []string
	for n, rs := range w.sets {
		pairs = append(pairs, n, "<"+rs.Spec.Template.Spec.Containers[0].Image+">")
	}
	names := strings.NewReplacer(pairs...)
	for _, line := range w.log {
		fmt.Fprintln(&b, names.Replace(line))
	}
	w.log = nil
	for _, n := range w.names(w.sets) {
		rs := w.sets[n]
		fmt.Fprintf(&b, "<%s> revision %s: wants %d, has %d, ready %d\n", rs.Spec.Template.Spec.Containers[0].Image,
			rs.Annotations[revisionAnnotation], *rs.Spec.Replicas, w.ready[n]+w.unready[n], w.ready[n])
	}
	s := w.d.Status
	fmt.Fprintf(&b, "status: %d replicas, %d updated, %d available, %d unavailable\n", s.Replicas, s.UpdatedReplicas, s.AvailableReplicas, s.UnavailableReplicas)
	for _, c := range s.Conditions {
		fmt.Fprintf(&b, "%s %s %s: %s\n", c.Type, c.Status, c.Reason, names.Replace(c.Message))
	}
	return b.String()
}
