package podstate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// criticalPriority is where priorities of the system begin.
const criticalPriority = 2_000_000_000

// Policy is what the node's settings and state say of new pods.
type Policy struct {
	// UnsafeSysctls may be set besides the safe ones: names, or prefixes that end
	// in *.
	UnsafeSysctls []string
	// Pressure are the conditions that the node has now.
	Pressure []corev1.NodeConditionType
	// Stopping is set when the node is about to be switched off.
	Stopping bool
}

// safeSysctls change nothing for other pods; upstream's list.
func safeSysctls() []string {
	return []string{
		"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
		"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
		"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
	}
}

// AdmitPolicy decides whether the node's settings and state let it take a new
// pod; nil when they do. Reasons and messages are upstream's.
func AdmitPolicy(pod *corev1.Pod, p Policy) *Verdict {
	if p.Stopping {
		return &Verdict{Reason: "NodeShutdown", Message: "Pod was rejected as the node is shutting down."}
	}
	if name := forbiddenSysctl(pod, p.UnsafeSysctls); name != "" {
		return rejected("SysctlForbidden", fmt.Sprintf("forbidden sysctl: %q not allowlisted", name))
	}
	if !withstands(pod, p.Pressure) {
		return rejected("Evicted", fmt.Sprintf("The node had condition: %v. ", p.Pressure))
	}
	return nil
}

func forbiddenSysctl(pod *corev1.Pod, allowed []string) string {
	if pod.Spec.SecurityContext == nil {
		return ""
	}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		name := strings.ReplaceAll(s.Name, "/", ".")
		known := slices.Contains(safeSysctls(), name) || slices.ContainsFunc(allowed, func(pattern string) bool {
			prefix, all := strings.CutSuffix(pattern, "*")
			return pattern == name || all && strings.HasPrefix(name, prefix)
		})
		if !known {
			return s.Name
		}
	}
	return ""
}

// withstands tells pods that may start although the node is short: critical
// ones, and where only memory is short those that asked for some, or tolerate it.
func withstands(pod *corev1.Pod, pressure []corev1.NodeConditionType) bool {
	static := pod.Annotations["kubernetes.io/config.source"] == "file"
	if len(pressure) == 0 || static || pod.Spec.Priority != nil && *pod.Spec.Priority >= criticalPriority {
		return true
	}
	if len(pressure) > 1 || pressure[0] != corev1.NodeMemoryPressure {
		return false
	}
	taint := &corev1.Taint{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule}
	return render.QOS(pod) != corev1.PodQOSBestEffort || slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
		return tolerates(t, taint)
	})
}

// tolerates matches a taint without value.
func tolerates(t corev1.Toleration, taint *corev1.Taint) bool {
	effect := t.Effect == "" || t.Effect == taint.Effect
	key := t.Key == taint.Key || t.Key == "" && t.Operator == corev1.TolerationOpExists
	value := t.Operator == corev1.TolerationOpExists || t.Value == taint.Value
	return effect && key && value
}
