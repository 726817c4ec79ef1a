package authz

import (
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
)

func pod(namespace, name, node string, spec corev1.PodSpec) *corev1.Pod {
	spec.NodeName = node
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec}
}

func secret(name string, kind corev1.SecretType) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Type: kind}
}

func world(t *testing.T) *Authorizer {
	t.Helper()
	uses := corev1.PodSpec{
		ServiceAccountName: "bot",
		ImagePullSecrets:   []corev1.LocalObjectReference{{Name: "pull"}},
		Containers: []corev1.Container{{
			Name: "c",
			Env: []corev1.EnvVar{
				{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "env"}}}},
				{Name: "B", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "env"}}}},
			},
			EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "from"}}}},
		}},
		Volumes: []corev1.Volume{
			{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "vol"}}},
			{Name: "p", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}},
			}}}},
			{Name: "c", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
		},
	}
	w := authtest.New(t, pod("ns", "mine", "n1", uses), pod("ns", "far", "n2", corev1.PodSpec{ServiceAccountName: "other"}),
		secret("tls", corev1.SecretTypeTLS), secret("opaque", corev1.SecretTypeOpaque))
	z, err := New(w.Kinds, w.Objects, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func attributes(u user.Info, line string) authorizer.AttributesRecord {
	words := strings.Fields(line)
	a := authorizer.AttributesRecord{User: u, ResourceRequest: true, Verb: words[0]}
	a.Resource, a.Subresource, _ = strings.Cut(words[1], "/")
	if group, resource, ok := strings.Cut(a.Resource, ":"); ok {
		a.APIGroup, a.Resource = group, resource
	}
	for _, word := range words[2:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "ns":
			a.Namespace = value
		case "name":
			a.Name = value
		default:
			a.FieldSelectorRequirements = fields.OneTermEqualSelector(key, value).Requirements()
		}
	}
	return a
}

func TestNodesAndEdge(t *testing.T) {
	z := world(t)
	node := &user.DefaultInfo{Name: "system:node:n1", Groups: []string{"system:nodes"}}
	pretender := &user.DefaultInfo{Name: "system:node:n1"}
	edgeUser := &user.DefaultInfo{Name: EdgeUser}
	for _, c := range []struct {
		who  user.Info
		line string
		want bool
	}{
		{node, "get secrets ns=ns name=pull", true}, {node, "get secrets ns=ns name=env", true},
		{node, "watch secrets ns=ns name=vol", true}, {node, "get secrets ns=ns name=from", true},
		{node, "get secrets ns=ns name=opaque", false}, {node, "list secrets ns=ns", false},
		{node, "get secrets ns=other name=pull", false}, {node, "update secrets ns=ns name=pull", false},
		{node, "get configmaps ns=ns name=kube-root-ca.crt", true}, {node, "get configmaps ns=ns name=env", true},
		{node, "get configmaps ns=ns name=x", false},
		{node, "get persistentvolumeclaims ns=ns name=data", true}, {node, "get persistentvolumeclaims ns=ns name=x", false},
		{node, "patch persistentvolumeclaims/status ns=ns name=data", true},
		{node, "create serviceaccounts/token ns=ns name=bot", true}, {node, "create serviceaccounts/token ns=ns name=other", false},
		{node, "get serviceaccounts ns=ns name=bot", true}, {node, "list serviceaccounts ns=ns", false},
		{node, "get nodes name=n1", true}, {node, "get nodes name=n2", false}, {node, "list nodes", false},
		{node, "watch nodes name=n1", true}, {node, "patch nodes/status name=n1", true}, {node, "delete nodes name=n1", false},
		{node, "list pods", false}, {node, "list pods spec.nodeName=n1", true}, {node, "watch pods spec.nodeName=n2", false},
		{node, "get pods ns=ns name=mine", true}, {node, "get pods ns=ns name=far", false},
		{node, "patch pods/status ns=ns name=mine", true}, {node, "create pods/exec ns=ns name=mine", false}, {node, "delete pods ns=ns name=mine", true},
		{node, "update coordination.k8s.io:leases ns=kube-node-lease name=n1", true},
		{node, "update coordination.k8s.io:leases ns=kube-node-lease name=n2", false},
		{node, "update coordination.k8s.io:leases ns=kube-system name=n1", false},
		{node, "create events ns=ns", true}, {node, "list services", true}, {node, "get runtimeclasses name=x", false},
		{node, "get node.k8s.io:runtimeclasses name=x", true}, {node, "delete deployments ns=ns name=x", false},
		{pretender, "get secrets ns=ns name=pull", false},
		{edgeUser, "get secrets ns=ns name=tls", true}, {edgeUser, "get secrets ns=ns name=opaque", false},
		{edgeUser, "list secrets", false}, {edgeUser, "watch secrets type=kubernetes.io/tls", true}, {edgeUser, "list secrets type=Opaque", false},
		{edgeUser, "update secrets ns=ns name=tls", false},
		{&user.DefaultInfo{Name: "x", Groups: []string{"system:masters"}}, "delete secrets ns=ns name=tls", true},
		{&user.DefaultInfo{Name: "x"}, "get secrets ns=ns name=tls", false},
	} {
		decision, reason, err := z.Authorize(t.Context(), attributes(c.who, c.line))
		if err != nil || (decision == authorizer.DecisionAllow) != c.want {
			t.Errorf("%s: %s: %v %q %v", c.who.GetName(), c.line, decision, reason, err)
		}
		if c.who == node && !c.want && reason == "" {
			t.Errorf("%s: refused without a reason", c.line)
		}
	}
}
