package core

import (
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// renamedLabels are labels of nodes that have a newer name, for which a
// volume's affinity may exchange them.
func renamedLabels() map[string]string {
	return map[string]string{
		corev1.LabelFailureDomainBetaZone:   corev1.LabelTopologyZone,
		corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
		corev1.LabelInstanceType:            corev1.LabelInstanceTypeStable,
		"beta.kubernetes.io/arch":           corev1.LabelArchStable,
		"beta.kubernetes.io/os":             corev1.LabelOSStable,
	}
}

// deprecatedAnnotations warns of annotations that became fields, those of
// security only where the field does not say the same.
func (w *podWarner) deprecatedAnnotations(at *field.Path) {
	for _, gone := range []struct{ key, why string }{
		{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
		{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
		{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	} {
		if _, ok := w.meta.Annotations[gone.key]; ok {
			w.add("%s: %s", at.Key(gone.key), gone.why)
		}
	}
	const seccomp = `%s: non-functional in v1.27+; use the "seccompProfile" field instead`
	var profile *corev1.AppArmorProfile
	sc := w.spec.SecurityContext
	if sc != nil {
		profile = sc.AppArmorProfile
	}
	if _, ok := w.meta.Annotations[seccompPod]; ok && (sc == nil || sc.SeccompProfile == nil) {
		w.add(seccomp, at.Key(seccompPod))
	}
	(&podCheck{spec: w.spec}).eachContainer(at, func(c *corev1.Container, _ *field.Path) {
		key := seccompContainerPrefix + c.Name
		if _, ok := w.meta.Annotations[key]; ok && (c.SecurityContext == nil || c.SecurityContext.SeccompProfile == nil) {
			w.add(seccomp, at.Key(key))
		}
		w.appArmorAnnotation(c, profile, at)
	})
}

// appArmorAnnotation warns of a template's annotation that the pod's profile
// does not repeat. Pods are warned of where it is made into a field.
func (w *podWarner) appArmorAnnotation(c *corev1.Container, whole *corev1.AppArmorProfile, at *field.Path) {
	key := appArmorContainerPrefix + c.Name
	annotation, ok := w.meta.Annotations[key]
	if !ok || w.path == nil || c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
		return
	}
	if is := appArmorOf(annotation); whole == nil || is == nil || !apiequality.Semantic.DeepEqual(whole, is) {
		w.add(appArmorOutdated, at.Key(key))
	}
}

// nullSelectors warns of terms without a selector, which match nothing.
func (w *podWarner) nullSelectors(spec *field.Path) {
	const why = "%s: a null labelSelector results in matching no pod"
	for i, c := range w.spec.TopologySpreadConstraints {
		if c.LabelSelector == nil {
			w.add(why, spec.Child("topologySpreadConstraints").Index(i).Child("labelSelector"))
		}
	}
	terms := func(must []corev1.PodAffinityTerm, weighted []corev1.WeightedPodAffinityTerm, at *field.Path) {
		for i, t := range must {
			if t.LabelSelector == nil {
				w.add(why, at.Child(required).Index(i).Child("labelSelector"))
			}
		}
		for i, t := range weighted {
			if t.PodAffinityTerm.LabelSelector == nil {
				w.add(why, at.Child(preferred).Index(i).Child("podAffinityTerm", "labelSelector"))
			}
		}
	}
	a := w.spec.Affinity
	if a == nil {
		return
	}
	if p := a.PodAffinity; p != nil {
		terms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, spec.Child("affinity", "podAffinity"))
	}
	if p := a.PodAntiAffinity; p != nil {
		terms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, spec.Child("affinity", "podAntiAffinity"))
	}
}

// addresses warns of addresses that occur twice or are not in the form that
// they are shown in.
func (w *podWarner) addresses(spec *field.Path) {
	if w.spec.DNSConfig != nil {
		for i, ip := range w.spec.DNSConfig.Nameservers {
			w.address(ip, spec.Child("dnsConfig", "nameservers").Index(i))
		}
	}
	seen := sets.New[string]()
	for i, a := range w.spec.HostAliases {
		at := spec.Child("hostAliases").Index(i).Child("ip")
		if seen.Has(a.IP) {
			w.add("%s: duplicate ip %q", at, a.IP)
		}
		seen.Insert(a.IP)
		w.address(a.IP, at)
	}
}

func (w *podWarner) address(ip string, at *field.Path) {
	if len(validate.IP(ip, at)) == 0 {
		w.out = append(w.out, validation.GetWarningsForIP(at, ip)...)
	}
}

// portNames warns of names that stand for several ports of the pod.
func (w *podWarner) portNames(ports []corev1.ContainerPort, seen map[string]*field.Path, at *field.Path) {
	for i, p := range ports {
		if p.Name == "" {
			continue
		}
		first, ok := seen[p.Name]
		if !ok {
			seen[p.Name] = at.Index(i)
			continue
		}
		w.add("%s: duplicate port name %q with %s, services and probes that select ports by name will use %s",
			at.Index(i), p.Name, first, first)
	}
}
