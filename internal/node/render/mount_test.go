package render

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestMount(t *testing.T) {
	const never, down, both = runtimeapi.MountPropagation_PROPAGATION_PRIVATE, runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER, runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL
	type mode = corev1.RecursiveReadOnlyMode
	type propagation = corev1.MountPropagationMode
	for _, c := range []struct {
		name                string
		m                   corev1.VolumeMount
		volumeReadOnly      bool
		readOnly, recursive bool
		propagation         runtimeapi.MountPropagation
	}{
		{"plain", corev1.VolumeMount{}, false, false, false, never},
		{"read-only", corev1.VolumeMount{ReadOnly: true}, false, true, false, never},
		{"of a read-only volume", corev1.VolumeMount{}, true, true, false, never},
		{"recursively read-only", corev1.VolumeMount{ReadOnly: true, RecursiveReadOnly: new(mode(corev1.RecursiveReadOnlyEnabled))}, false, true, true, never},
		{"if possible", corev1.VolumeMount{ReadOnly: true, RecursiveReadOnly: new(mode(corev1.RecursiveReadOnlyIfPossible))}, false, true, true, never},
		{"not recursively", corev1.VolumeMount{ReadOnly: true, RecursiveReadOnly: new(mode(corev1.RecursiveReadOnlyDisabled))}, false, true, false, never},
		{"from the node", corev1.VolumeMount{MountPropagation: new(propagation(corev1.MountPropagationHostToContainer))}, false, false, false, down},
		{"both ways", corev1.VolumeMount{MountPropagation: new(propagation(corev1.MountPropagationBidirectional))}, false, false, false, both},
		{"neither way", corev1.VolumeMount{MountPropagation: new(propagation(corev1.MountPropagationNone))}, false, false, false, never},
	} {
		c.m.MountPath = "/data"
		got := Mount(c.m, "/host", c.volumeReadOnly)
		if got.ContainerPath != "/data" || got.HostPath != "/host" || got.Readonly != c.readOnly || got.RecursiveReadOnly != c.recursive || got.Propagation != c.propagation {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// What a container asks of AppArmor and SELinux counts over what its pod does.
func TestMandatoryAccess(t *testing.T) {
	localhost := "mine"
	pod := corev1.PodSecurityContext{
		AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault},
		SELinuxOptions:  &corev1.SELinuxOptions{Type: "pod_t", Level: "s0:c1,c2"},
	}
	own := corev1.SecurityContext{
		AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &localhost},
		SELinuxOptions:  &corev1.SELinuxOptions{User: "u", Role: "r", Type: "own_t"},
	}
	for _, c := range []struct {
		name    string
		psc     corev1.PodSecurityContext
		csc     corev1.SecurityContext
		kind    runtimeapi.SecurityProfile_ProfileType
		profile string
		selinux *runtimeapi.SELinuxOption
	}{
		{"the pod's", pod, corev1.SecurityContext{}, runtimeapi.SecurityProfile_RuntimeDefault, "", &runtimeapi.SELinuxOption{Type: "pod_t", Level: "s0:c1,c2"}},
		{"its own", pod, own, runtimeapi.SecurityProfile_Localhost, "mine", &runtimeapi.SELinuxOption{User: "u", Role: "r", Type: "own_t"}},
	} {
		sc := containerSecurity(&corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &c.psc}}, &corev1.Container{SecurityContext: &c.csc}, "", "", nil, nil)
		if a := sc.GetApparmor(); a.GetProfileType() != c.kind || a.GetLocalhostRef() != c.profile {
			t.Errorf("%s: AppArmor %v", c.name, a)
		}
		s := sc.GetSelinuxOptions()
		if s.GetUser() != c.selinux.User || s.GetRole() != c.selinux.Role || s.GetType() != c.selinux.Type || s.GetLevel() != c.selinux.Level {
			t.Errorf("%s: SELinux %v", c.name, s)
		}
	}
}
