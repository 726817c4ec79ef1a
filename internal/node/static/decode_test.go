package static

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
)

func podKind(t *testing.T) *api.Kind {
	t.Helper()
	kind := catalog.New().Kind(corev1.SchemeGroupVersion.WithKind("Pod"))
	if kind == nil {
		t.Fatal("the catalogue has no pods")
	}
	return kind
}

const manifest = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  priorityClassName: system-node-critical
  containers: [{name: app, image: "app:1"}]
`

func TestDecode(t *testing.T) {
	seen := time.Unix(1_700_000_000, 0).UTC()
	pod, err := Decode(podKind(t), []byte(manifest), Origin{Path: "/m/web.yaml", Node: "n1", Seen: seen})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Name != "web-n1" || pod.Namespace != "default" || pod.Spec.NodeName != "n1" || len(pod.UID) != 32 {
		t.Errorf("name %q, namespace %q, node %q, uid %q", pod.Name, pod.Namespace, pod.Spec.NodeName, pod.UID)
	}
	want := map[string]string{AnnotationHash: string(pod.UID), AnnotationSource: "file", AnnotationSeen: seen.Format(time.RFC3339Nano)}
	for key, value := range want {
		if pod.Annotations[key] != value {
			t.Errorf("annotation %s is %q, want %q", key, pod.Annotations[key], value)
		}
	}
	if pod.Spec.Priority == nil || *pod.Spec.Priority != 2_000_001_000 {
		t.Errorf("priority %v", pod.Spec.Priority)
	}
	if got := pod.Spec.Tolerations; len(got) == 0 || got[len(got)-1].Effect != corev1.TaintEffectNoExecute {
		t.Errorf("tolerations %+v", got)
	}
	if pod.Spec.Containers[0].TerminationMessagePath == "" || pod.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		t.Error("defaults are missing")
	}
	other, err := Decode(podKind(t), []byte(manifest+"# changed\n"), Origin{Path: "/m/web.yaml", Node: "n1"})
	if err != nil || other.UID == pod.UID {
		t.Errorf("a changed manifest has the uid %q, %v", other.UID, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	cases := []struct{ name, old, new, want string }{
		{"text", manifest, "hello", "not a pod"},
		{"another kind", "kind: Pod", "kind: Service", "want kind Pod"},
		{"no name", "name: web, ", "", "metadata.name"},
		{"bad name", "name: web", "name: Web", "metadata.name"},
		{"bad namespace", "name: web", "name: web, namespace: a/b", "metadata.namespace"},
		{"no containers", `containers: [{name: app, image: "app:1"}]`, "containers: []", "spec.containers"},
		{"account", "spec:", "spec:\n  serviceAccountName: x", "a service account"},
		{"secret", "spec:", "spec:\n  volumes: [{name: v, secret: {secretName: s}}]", "secrets"},
		{"config map", "spec:", "spec:\n  volumes: [{name: v, configMap: {name: s}}]", "config maps"},
		{"claim", "spec:", "spec:\n  volumes: [{name: v, persistentVolumeClaim: {claimName: s}}]", "claims"},
		{"token", "spec:", "spec:\n  volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]", "projected"},
		{"env", `image: "app:1"`, `image: "app:1", envFrom: [{secretRef: {name: s}}]`, "envFrom"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(manifest, tc.old, tc.new, 1)
			_, err := Decode(podKind(t), []byte(text), Origin{Path: "/m/x.yaml", Node: "n1"})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestMirror(t *testing.T) {
	pod, err := Decode(podKind(t), []byte(manifest), Origin{Path: "/m/web.yaml", Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{}
	node.Name, node.UID = "n1", "u1"
	m := Mirror(pod, node)
	if !IsMirror(m) || IsMirror(pod) || !Of(m, pod) || m.UID != "" {
		t.Errorf("mirror %+v", m.ObjectMeta)
	}
	owner := m.OwnerReferences[0]
	if owner.Kind != "Node" || owner.UID != "u1" || owner.Controller == nil || !*owner.Controller {
		t.Errorf("owner %+v", owner)
	}
	m.Status.Phase, m.Generation = corev1.PodRunning, 7
	with := With(pod, m)
	if with.UID != pod.UID || with.Status.Phase != corev1.PodRunning || with.Generation != 7 || pod.Status.Phase != corev1.PodPending {
		t.Errorf("with its mirror's status: %+v", with)
	}
}
