package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// podWarner gathers warnings on one pod or template; path is nil for a pod.
type podWarner struct {
	meta *metav1.ObjectMeta
	spec *corev1.PodSpec
	path *field.Path
	out  []string
}

func (w *podWarner) all() []string {
	spec := w.path.Child("spec")
	w.deprecatedAnnotations(w.path.Child("metadata", "annotations"))
	w.deprecatedLabels(spec)
	w.nullSelectors(spec)
	w.volumes(spec.Child("volumes"))
	w.overlaps()
	w.duplicates(spec)
	check := podCheck{spec: w.spec}
	ports, portNames := map[string][]portAt{}, map[string]*field.Path{}
	check.eachContainer(spec, func(c *corev1.Container, at *field.Path) {
		w.container(c, at)
		w.ports(c.Ports, ports, at.Child("ports"))
		w.portNames(c.Ports, portNames, at.Child("ports"))
	})
	w.fractional(w.spec.Overhead, spec.Child("overhead"), corev1.ResourceMemory, corev1.ResourceEphemeralStorage)
	w.addresses(spec)
	return w.out
}

func (w *podWarner) add(format string, args ...any) {
	w.out = append(w.out, fmt.Sprintf(format, args...))
}

func (w *podWarner) deprecatedLabels(spec *field.Path) {
	for _, key := range sortedKeys(w.spec.NodeSelector) {
		if why, ok := validate.DeprecatedNodeLabel(key); ok {
			w.add("%s: %s", spec.Child("nodeSelector").Key(key), why)
		}
	}
	if a := w.spec.Affinity; a != nil && a.NodeAffinity != nil {
		at := spec.Child("affinity", "nodeAffinity")
		for i := range requiredTerms(a.NodeAffinity) {
			w.term(&requiredTerms(a.NodeAffinity)[i], false, at.Child(required, "nodeSelectorTerms").Index(i))
		}
		for i := range a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			t := &a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution[i]
			w.term(&t.Preference, true, at.Child(preferred).Index(i).Child("preference"))
		}
	}
	for i, c := range w.spec.TopologySpreadConstraints {
		if why, ok := validate.DeprecatedNodeLabel(c.TopologyKey); ok {
			w.add("%s: %s is %s", spec.Child("topologySpreadConstraints").Index(i).Child("topologyKey"), c.TopologyKey, why)
		}
	}
}

// term warns of wrong values too where validation does not look at them.
func (w *podWarner) term(t *corev1.NodeSelectorTerm, values bool, at *field.Path) {
	for i, e := range t.MatchExpressions {
		idx := at.Child("matchExpressions").Index(i)
		if why, ok := validate.DeprecatedNodeLabel(e.Key); ok {
			w.add("%s: %s is %s", idx.Child("key"), e.Key, why)
		}
		for j, v := range e.Values {
			for _, why := range validation.IsValidLabelValue(v) {
				if values {
					w.add("%s: %s is invalid, %s", idx.Child("values").Index(j), v, why)
				}
			}
		}
	}
}

func (w *podWarner) volumes(path *field.Path) {
	for i := range w.spec.Volumes {
		v, at := &w.spec.Volumes[i], path.Index(i)
		for _, d := range deprecatedVolumes(&v.VolumeSource) {
			w.add("%s: deprecated in %s", at.Child(d.name), d.since)
		}
		if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
			r := v.Ephemeral.VolumeClaimTemplate.Spec.Resources
			claim := at.Child("ephemeral", "volumeClaimTemplate", "spec", "resources")
			w.fractional(r.Requests, claim.Child("requests"), corev1.ResourceStorage)
			w.fractional(r.Limits, claim.Child("limits"), corev1.ResourceStorage)
		}
	}
}

type deprecation struct{ name, since string }

func deprecatedVolumes(s *corev1.VolumeSource) []deprecation {
	list := []struct {
		set bool
		deprecation
	}{
		{s.PhotonPersistentDisk != nil, deprecation{"photonPersistentDisk", "v1.11, non-functional in v1.16+"}},
		{s.GitRepo != nil, deprecation{"gitRepo", "v1.11, and disabled by default in v1.33+"}},
		{s.ScaleIO != nil, deprecation{"scaleIO", "v1.16, non-functional in v1.22+"}},
		{s.Flocker != nil, deprecation{"flocker", "v1.22, non-functional in v1.25+"}},
		{s.StorageOS != nil, deprecation{"storageOS", "v1.22, non-functional in v1.25+"}},
		{s.Quobyte != nil, deprecation{"quobyte", "v1.22, non-functional in v1.25+"}},
		{s.Glusterfs != nil, deprecation{"glusterfs", "v1.25, non-functional in v1.26+"}},
		{s.CephFS != nil, deprecation{"cephfs", "v1.28, non-functional in v1.31+"}},
		{s.RBD != nil, deprecation{"rbd", "v1.28, non-functional in v1.31+"}},
	}
	var out []deprecation
	for _, d := range list {
		if d.set {
			out = append(out, d.deprecation)
		}
	}
	return out
}

// duplicates warns of list items that overwrite each other.
func (w *podWarner) duplicates(spec *field.Path) {
	seen := sets.New[string]()
	for i, s := range w.spec.ImagePullSecrets {
		at := spec.Child("imagePullSecrets").Index(i).Child("name")
		if seen.Has(s.Name) {
			w.add("%s: duplicate name %q", at, s.Name)
		}
		if s.Name == "" {
			w.add("%s: invalid empty name %q", at, s.Name)
		}
		seen.Insert(s.Name)
	}
	if g := w.spec.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.add("%s: must be >= 0; negative values are invalid and will be treated as 1", spec.Child("terminationGracePeriodSeconds"))
	}
}

func (w *podWarner) container(c *corev1.Container, at *field.Path) {
	names := sets.New[string]()
	for i, e := range c.Env {
		// A value that refers to the one before does not lose it.
		self := "$(" + e.Name + ")"
		hides := e.ValueFrom != nil || e.Value == self || !strings.Contains(e.Value, self)
		if names.Has(e.Name) && hides {
			w.add("%s: hides previous definition of %q, which may be dropped when using apply", at.Child("env").Index(i), e.Name)
		}
		names.Insert(e.Name)
	}
	resources := at.Child("resources")
	w.fractional(c.Resources.Limits, resources.Child("limits"), corev1.ResourceMemory, corev1.ResourceEphemeralStorage)
	w.fractional(c.Resources.Requests, resources.Child("requests"), corev1.ResourceMemory, corev1.ResourceEphemeralStorage)
}

// portAt is a port and where it stands.
type portAt struct {
	at   *field.Path
	port corev1.ContainerPort
}

// ports warns of ports that are the same as others of the pod, or may be.
func (w *podWarner) ports(ports []corev1.ContainerPort, seen map[string][]portAt, at *field.Path) {
	for i, p := range ports {
		idx := at.Index(i)
		if p.HostIP != "" && p.HostPort == 0 {
			w.add("%s: hostIP set without hostPort: %+v", idx, p)
		}
		key := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
		for _, o := range seen[key] {
			switch {
			case p.HostIP == o.port.HostIP && p.HostPort == o.port.HostPort:
				w.add("%s: duplicate port definition with %s", idx, o.at)
			case p.HostPort == 0 || o.port.HostPort == 0:
				w.add("%s: overlapping port definition with %s", idx, o.at)
			case p.HostPort == o.port.HostPort && (p.HostIP == "") != (o.port.HostIP == ""):
				w.add("%s: dangerously ambiguous port definition with %s", idx, o.at)
			}
		}
		seen[key] = append(seen[key], portAt{idx, p})
	}
}

// fractional warns of amounts of bytes that are not whole.
func (w *podWarner) fractional(l corev1.ResourceList, at *field.Path, names ...corev1.ResourceName) {
	for _, name := range names {
		if q, ok := l[name]; ok && !whole(q) {
			w.add("%s: fractional byte value %q is invalid, must be an integer", at.Key(string(name)), q.String())
		}
	}
}

func whole(q resource.Quantity) bool { return q.MilliValue()%1000 == 0 }
