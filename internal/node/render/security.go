package render

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ImageUser is whom an image runs as: a number, a name, or neither (root).
type ImageUser struct {
	UID  *int64
	Name string
}

// containerSecurity joins the pod's and the container's security contexts.
// unset is the seccomp profile where neither has one; nil for Unconfined.
func containerSecurity(pod *corev1.Pod, c *corev1.Container, profiles, target string, unset *corev1.SeccompProfile, users *Users) *runtimeapi.LinuxContainerSecurityContext {
	psc, csc := pod.Spec.SecurityContext, c.SecurityContext
	if psc == nil {
		psc = &corev1.PodSecurityContext{}
	}
	if csc == nil {
		csc = &corev1.SecurityContext{}
	}
	sc := &runtimeapi.LinuxContainerSecurityContext{
		NamespaceOptions: namespaces(pod, target, users),
		Privileged:       isSet(csc.Privileged),
		ReadonlyRootfs:   isSet(csc.ReadOnlyRootFilesystem),
		NoNewPrivs:       csc.AllowPrivilegeEscalation != nil && !*csc.AllowPrivilegeEscalation,
		SelinuxOptions:   selinux(either(csc.SELinuxOptions, psc.SELinuxOptions)),
		Apparmor:         apparmor(either(csc.AppArmorProfile, psc.AppArmorProfile)),
		Seccomp:          seccomp(either(either(csc.SeccompProfile, psc.SeccompProfile), unset), profiles),
		Capabilities:     capabilities(csc.Capabilities),
	}
	if user := either(csc.RunAsUser, psc.RunAsUser); user != nil {
		sc.RunAsUser = &runtimeapi.Int64Value{Value: *user}
	}
	if group := either(csc.RunAsGroup, psc.RunAsGroup); group != nil {
		sc.RunAsGroup = &runtimeapi.Int64Value{Value: *group}
	}
	sc.SupplementalGroups, sc.SupplementalGroupsPolicy = groups(psc)
	if !sc.Privileged && (csc.ProcMount == nil || *csc.ProcMount == corev1.DefaultProcMount) {
		sc.MaskedPaths, sc.ReadonlyPaths = maskedPaths(), readonlyPaths()
	}
	return sc
}

func either[T any](first, second *T) *T {
	if first != nil {
		return first
	}
	return second
}

func isSet(b *bool) bool { return b != nil && *b }

func groups(psc *corev1.PodSecurityContext) ([]int64, runtimeapi.SupplementalGroupsPolicy) {
	out := append([]int64(nil), psc.SupplementalGroups...)
	if psc.FSGroup != nil {
		out = append(out, *psc.FSGroup)
	}
	policy := runtimeapi.SupplementalGroupsPolicy_Merge
	if p := psc.SupplementalGroupsPolicy; p != nil && *p == corev1.SupplementalGroupsPolicyStrict {
		policy = runtimeapi.SupplementalGroupsPolicy_Strict
	}
	return out, policy
}

func capabilities(c *corev1.Capabilities) *runtimeapi.Capability {
	if c == nil {
		return nil
	}
	out := &runtimeapi.Capability{}
	for _, name := range c.Add {
		out.AddCapabilities = append(out.AddCapabilities, string(name))
	}
	for _, name := range c.Drop {
		out.DropCapabilities = append(out.DropCapabilities, string(name))
	}
	return out
}

// seccomp maps a profile; none means Unconfined.
func seccomp(p *corev1.SeccompProfile, profiles string) *runtimeapi.SecurityProfile {
	switch {
	case p == nil || p.Type == corev1.SeccompProfileTypeUnconfined:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
	case p.Type == corev1.SeccompProfileTypeLocalhost && p.LocalhostProfile != nil:
		return &runtimeapi.SecurityProfile{
			ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: filepath.Join(profiles, filepath.Clean("/"+*p.LocalhostProfile)),
		}
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
}

func apparmor(p *corev1.AppArmorProfile) *runtimeapi.SecurityProfile {
	switch {
	case p == nil:
		return nil
	case p.Type == corev1.AppArmorProfileTypeUnconfined:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
	case p.Type == corev1.AppArmorProfileTypeLocalhost && p.LocalhostProfile != nil:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: *p.LocalhostProfile}
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
}

func selinux(o *corev1.SELinuxOptions) *runtimeapi.SELinuxOption {
	if o == nil {
		return nil
	}
	return &runtimeapi.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
}

// maskedPaths and readonlyPaths are what the default procMount hides.
func maskedPaths() []string {
	return []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
		"/sys/devices/virtual/powercap",
	}
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// VerifyNonRoot refuses a container that asked not to run as root and would.
// The error's text is upstream's.
func VerifyNonRoot(pod *corev1.Pod, c *corev1.Container, image ImageUser) error {
	var nonRoot *bool
	var user *int64
	if pod.Spec.SecurityContext != nil {
		nonRoot, user = pod.Spec.SecurityContext.RunAsNonRoot, pod.Spec.SecurityContext.RunAsUser
	}
	if c.SecurityContext != nil {
		nonRoot, user = either(c.SecurityContext.RunAsNonRoot, nonRoot), either(c.SecurityContext.RunAsUser, user)
	}
	if !isSet(nonRoot) {
		return nil
	}
	who := fmt.Sprintf("(pod: \"%s_%s(%s)\", container: %s)", pod.Name, pod.Namespace, pod.UID, c.Name)
	name, _, _ := strings.Cut(image.Name, ":")
	switch {
	case user != nil && *user == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy %s", who)
	case user != nil:
		return nil
	case image.UID != nil && *image.UID == 0, image.UID == nil && name == "":
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", who)
	case image.UID != nil:
		return nil
	}
	if n, err := strconv.ParseInt(name, 10, 64); err == nil && n != 0 {
		return nil
	}
	return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", name, who)
}
