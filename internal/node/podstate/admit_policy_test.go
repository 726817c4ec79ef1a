package podstate

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestAdmitPolicy(t *testing.T) {
	sysctl := func(name string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: name, Value: "1"}}}
		}
	}
	burstable := func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Mi")}
	}
	tolerant := func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists}}
	}
	critical := func(p *corev1.Pod) { n := int32(criticalPriority); p.Spec.Priority = &n }
	memory, disk := []corev1.NodeConditionType{corev1.NodeMemoryPressure}, []corev1.NodeConditionType{corev1.NodeDiskPressure}
	cases := []struct {
		name   string
		change func(*corev1.Pod)
		policy Policy
		reason string
	}{
		{"plain", func(*corev1.Pod) {}, Policy{}, ""},
		{"node stops", critical, Policy{Stopping: true}, "NodeShutdown"},
		{"safe sysctl", sysctl("net.ipv4.tcp_syncookies"), Policy{}, ""},
		{"safe sysctl with slashes", sysctl("net/ipv4/tcp_syncookies"), Policy{}, ""},
		{"unsafe sysctl", sysctl("kernel.msgmax"), Policy{}, "SysctlForbidden"},
		{"allowed sysctl", sysctl("kernel.msgmax"), Policy{UnsafeSysctls: []string{"kernel.msg*"}}, ""},
		{"other prefix", sysctl("kernel.shmall"), Policy{UnsafeSysctls: []string{"kernel.msg*"}}, "SysctlForbidden"},
		{"little memory", func(*corev1.Pod) {}, Policy{Pressure: memory}, "Evicted"},
		{"little memory, asks for some", burstable, Policy{Pressure: memory}, ""},
		{"little memory, tolerated", tolerant, Policy{Pressure: memory}, ""},
		{"full disk", burstable, Policy{Pressure: disk}, "Evicted"},
		{"full disk, critical", critical, Policy{Pressure: disk}, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			pod := testPod("a", "Always")
			tc.change(pod)
			got := AdmitPolicy(pod, tc.policy)
			if (got == nil) != (tc.reason == "") || got != nil && got.Reason != tc.reason {
				t.Errorf("%+v, want %q", got, tc.reason)
			}
		})
	}
}
