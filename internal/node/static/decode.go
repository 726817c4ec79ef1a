package static

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/api"
)

// Annotations of pods that an agent runs, as upstream's kubelet sets them.
const (
	AnnotationHash   = "kubernetes.io/config.hash"
	AnnotationSource = "kubernetes.io/config.source"
	AnnotationSeen   = "kubernetes.io/config.seen"
	AnnotationMirror = corev1.MirrorPodAnnotationKey
)

// sourceFile is the source of pods that come from manifests.
const sourceFile = "file"

// Priorities of the two classes that every cluster has; others are objects of
// the API, which a static pod does without.
const (
	nodeCritical    = "system-node-critical"
	clusterCritical = "system-cluster-critical"
)

// Origin says where a manifest was found.
type Origin struct {
	Path, Node string
	Seen       time.Time
}

// Decode reads one pod from a manifest, in JSON or YAML, as the node runs it:
// with the kind's defaults, checked, and bound to the node. What a pod that
// runs without the API cannot have, such as a Secret, is refused.
func Decode(kind *api.Kind, manifest []byte, from Origin) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	if err := yaml.Unmarshal(manifest, pod); err != nil {
		return nil, fmt.Errorf("not a pod: %w", err)
	}
	if pod.Kind != "Pod" || pod.APIVersion != "v1" {
		return nil, fmt.Errorf("want kind Pod of apiVersion v1, got %q of %q", pod.Kind, pod.APIVersion)
	}
	if pod.Name == "" {
		return nil, errors.New("metadata.name: Required value")
	}
	pod.TypeMeta = metav1.TypeMeta{}
	pod.UID = uid(manifest, from)
	complete(pod, from)
	kind.Main.Default(pod)
	if what := reference(pod); what != "" {
		return nil, fmt.Errorf("a static pod may not reference %s: it runs without the API", what)
	}
	errs := validation.ValidateObjectMeta(&pod.ObjectMeta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if errs = append(errs, kind.Main.Validate(pod)...); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	return pod, nil
}

// uid is the same for the same manifest at the same place on the same node.
func uid(manifest []byte, from Origin) types.UID {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s", len(from.Node), from.Node, len(from.Path), from.Path)
	h.Write(manifest)
	return types.UID(hex.EncodeToString(h.Sum(nil)[:16]))
}

// complete sets what the node decides of its static pods.
func complete(pod *corev1.Pod, from Origin) {
	pod.Name += "-" + from.Node
	if pod.Namespace == "" {
		pod.Namespace = metav1.NamespaceDefault
	}
	pod.Spec.NodeName = from.Node
	pod.Generation = 1
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, AnnotationHash, string(pod.UID))
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, AnnotationSource, sourceFile)
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, AnnotationSeen, from.Seen.Format(time.RFC3339Nano))
	// No taint of the node ends what the node itself declares.
	all := corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, all)
	if pod.Spec.Priority == nil {
		pod.Spec.Priority = priority(pod.Spec.PriorityClassName)
	}
}

func priority(class string) *int32 {
	value := map[string]int32{clusterCritical: 2_000_000_000, nodeCritical: 2_000_001_000}[class]
	if value == 0 {
		return nil
	}
	return &value
}

// reference names an object of the API that the pod needs; empty for none.
func reference(pod *corev1.Pod) string {
	switch {
	case pod.Spec.ServiceAccountName != "":
		return "a service account"
	case len(pod.Spec.ImagePullSecrets) > 0:
		return "image pull secrets"
	case len(pod.Spec.ResourceClaims) > 0:
		return "resource claims"
	case len(pod.Spec.EphemeralContainers) > 0:
		return "ephemeral containers"
	}
	for i := range pod.Spec.Volumes {
		if what := volumeReference(&pod.Spec.Volumes[i]); what != "" {
			return what
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if what := envReference(&list[i]); what != "" {
				return what
			}
		}
	}
	return ""
}

func volumeReference(v *corev1.Volume) string {
	switch {
	case v.Secret != nil:
		return "secrets"
	case v.ConfigMap != nil:
		return "config maps"
	case v.PersistentVolumeClaim != nil, v.Ephemeral != nil:
		return "persistent volume claims"
	case v.Projected == nil:
		return ""
	}
	for _, s := range v.Projected.Sources {
		if s.Secret != nil || s.ConfigMap != nil || s.ServiceAccountToken != nil || s.ClusterTrustBundle != nil || s.PodCertificate != nil {
			return "objects of the API in a projected volume"
		}
	}
	return ""
}

func envReference(c *corev1.Container) string {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil || from.SecretRef != nil {
			return "config maps or secrets in envFrom"
		}
	}
	for _, env := range c.Env {
		if env.ValueFrom != nil && (env.ValueFrom.ConfigMapKeyRef != nil || env.ValueFrom.SecretKeyRef != nil) {
			return "config maps or secrets in env"
		}
	}
	return ""
}
