package realtest

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/client"
)

func TestOnePod(t *testing.T) {
	m := newMachine(t)
	m.create(pod("a", "trap 'exit 0' TERM; echo hello; while :; do sleep 1000 & wait; done"))
	p := m.await("a", "is ready", ready)
	if p.Status.PodIP == "" {
		t.Errorf("status %+v", p.Status)
	}
	m.eventually("the log is written", func() bool { return strings.Contains(m.log(p), " stdout F hello\n") })
	m.delete("a")
}

func TestWhatContainersSee(t *testing.T) {
	m := newMachine(t)
	_, err := client.For[*corev1.ConfigMap](m.cluster.Admin).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings", Namespace: "default"}, Data: map[string]string{"colour": "blue"},
	})
	if err != nil {
		t.Fatal(err)
	}
	script := `set -e
echo env $GREETING $WHO $POD_IP $LIMIT $WROTE
echo file $(cat /etc/settings/colour) $(cat /one)
echo user $(id -u) $(id -g) $(id -G)
touch /scratch/x && echo scratch $(stat -c %g:%a /scratch)
touch /x 2>/dev/null || echo read-only
grep -q "$POD_IP" /etc/hosts && echo host $(hostname)
echo nnp $(grep NoNewPrivs /proc/self/status)
echo seccomp $(grep Seccomp: /proc/self/status)
echo bye > /dev/termination-log
exit 3`
	user, group, fs, no, yes := int64(1000), int64(2000), int64(3000), false, true
	m.create(pod("a", script, func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &group, FSGroup: &fs, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
		p.Spec.Volumes = []corev1.Volume{
			{Name: "settings", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}},
			{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
		}
		c := &p.Spec.Containers[0]
		c.SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
		c.VolumeMounts = []corev1.VolumeMount{
			{Name: "settings", MountPath: "/etc/settings"}, {Name: "settings", MountPath: "/one", SubPath: "colour"}, {Name: "scratch", MountPath: "/scratch"},
		}
		c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
		c.Env = []corev1.EnvVar{
			{Name: "WHO", Value: "world"}, {Name: "GREETING", Value: "hello-$(WHO)"},
			{Name: "POD_IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
			{Name: "LIMIT", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory"}}},
			{Name: "WROTE", ValueFrom: &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "scratch", Path: "env", Key: "WROTE"}}},
		}
		first := c.DeepCopy()
		first.Name, first.Env, first.Command = "first", nil, []string{"sh", "-c", `echo "WROTE='by the first'" > /scratch/env`}
		p.Spec.InitContainers = []corev1.Container{*first}
	}))
	p := m.await("a", "has ended", ended)
	if p.Status.Phase != corev1.PodFailed || p.Status.ContainerStatuses[0].State.Terminated == nil {
		t.Fatalf("status %+v", p.Status)
	}
	if end := p.Status.ContainerStatuses[0].State.Terminated; end.ExitCode != 3 || end.Message != "bye\n" || end.Reason != "Error" {
		t.Errorf("end %+v", end)
	}
	got := m.log(p)
	for _, want := range []string{
		"env hello-world world " + p.Status.PodIP + " 67108864 by the first", "file blue blue", "user 1000 2000 2000 3000", "scratch 3000:2777", "read-only", "host a", "nnp NoNewPrivs: 1", "seccomp Seccomp: 2",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the container did not say %q:\n%s", want, got)
		}
	}
}

func TestProbesOverTheNetwork(t *testing.T) {
	m := newMachine(t)
	probe := &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/index.html", Port: intstr.FromInt32(8080)}},
		PeriodSeconds: 1, FailureThreshold: 3, SuccessThreshold: 1, TimeoutSeconds: 60,
	}
	m.create(pod("a", "echo ok > /tmp/index.html; exec httpd -f -p 8080 -h /tmp", func(p *corev1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = probe
		p.Spec.Containers[0].StartupProbe = &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}, PeriodSeconds: 1, FailureThreshold: 30, SuccessThreshold: 1, TimeoutSeconds: 60,
		}
		p.Spec.Containers[0].LivenessProbe = &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"cat", "/tmp/index.html"}}}, PeriodSeconds: 1, FailureThreshold: 1, SuccessThreshold: 1, TimeoutSeconds: 60,
		}
	}))
	m.await("a", "is ready", ready)
}

func TestAgentRestart(t *testing.T) {
	m := newMachine(t)
	m.create(pod("a", "exec sleep 1000"))
	before := m.await("a", "is ready", ready)
	m.stop()
	m.startAgent()
	m.create(pod("b", "exec sleep 1000"))
	m.await("b", "is ready", ready)
	after := m.await("a", "is ready", ready)
	if after.Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID || after.Status.PodIP != before.Status.PodIP {
		t.Errorf("the pod changed over the restart: %+v", after.Status)
	}
}

func TestOutOfMemory(t *testing.T) {
	m := newMachine(t)
	m.create(pod("a", "x=a; while :; do x=$x$x; done", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("16Mi")}
	}))
	p := m.await("a", "has ended", ended)
	if end := p.Status.ContainerStatuses[0].State.Terminated; end == nil || end.Reason != "OOMKilled" || end.ExitCode != 137 {
		t.Errorf("end %+v", end)
	}
}

// BenchmarkPod measures a pod's way from its creation to Ready, and from its
// deletion until it is gone.
func BenchmarkPod(b *testing.B) {
	m := newMachine(b)
	var up, down []time.Duration
	for b.Loop() {
		began := time.Now()
		m.create(pod("a", "trap 'exit 0' TERM; echo trapped; while :; do sleep 1000 & wait; done"))
		p := m.await("a", "is ready", ready)
		up = append(up, time.Since(began))
		m.eventually("the stop signal is taken", func() bool { return strings.Contains(m.log(p), "trapped") })
		began = time.Now()
		m.delete("a")
		down = append(down, time.Since(began))
	}
	slices.Sort(up)
	slices.Sort(down)
	b.ReportMetric(float64(up[len(up)/2].Microseconds())/1000, "ms-ready-p50")
	b.ReportMetric(float64(down[len(down)/2].Microseconds())/1000, "ms-gone-p50")
}

// BenchmarkFiftyPods measures how long fifty pods at once take to be ready,
// and what API server and agent together then use while nothing happens.
func BenchmarkFiftyPods(b *testing.B) {
	m := newMachine(b)
	for b.Loop() {
		began := time.Now()
		for i := range 50 {
			m.create(pod(fmt.Sprintf("p%d", i), "exec sleep 100000"))
		}
		for i := range 50 {
			m.await(fmt.Sprintf("p%d", i), "is ready", ready)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-all-ready")
		b.ReportMetric(idleCPU(b, 10*time.Second), "%cpu-idle")
		zero := int64(0)
		for i := range 50 {
			if err := m.pods.Delete(b.Context(), "default", fmt.Sprintf("p%d", i), metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil && !apierrors.IsNotFound(err) {
				b.Fatal(err)
			}
		}
		m.eventually("all are gone", func() bool {
			list, _, err := m.pods.List(b.Context(), "default", metav1.ListOptions{})
			return err == nil && len(list) == 0
		})
	}
}

// idleCPU is the share of a core, in per cent, that this process uses.
func idleCPU(b *testing.B, over time.Duration) float64 {
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := used()
	<-time.After(over)
	return 100 * float64(used()-before) / float64(over)
}
