package ecosystem

import (
	"strings"
	"testing"
)

// Upstream's sample API server, aggregated, with an etcd of its own: its kinds
// are served as if they were built in, and its absence harms nobody else.
func TestSampleAPIServer(t *testing.T) {
	images(t, "docker.io_library_kube-sample-apiserver", "registry.k8s.io_etcd_v3")
	const namespace = "wardle"
	m := pinned(t, "sample-apiserver", "k8s.io/sample-apiserver")
	tell(t, namespace)
	all, k := kubectl(""), kubectl("default")
	expect(t, m.String(), "the API service becomes available", func(t *testing.T) {
		for _, name := range []string{"ns", "sa", "rbac", "rbac-bind", "auth-delegator", "auth-reader", "service", "deployment", "apiservice"} {
			all.Run(t, "apply", "-f", m.file("artifacts", "example", name+".yaml"))
		}
		all.With(t, mutatingPolicies, nil, "apply", "-f", "-")
		all.Run(t, "wait", "--for=condition=Available", "apiservice/v1alpha1.wardle.example.com", "--timeout=4m")
	})
	expect(t, m.String(), "flunders are created, listed, explained, watched and deleted", func(t *testing.T) {
		flunder := m.text(t, "artifacts/flunders/01-flunder.yaml")
		applied(t, "default", flunder) // its admission first waits for the policies
		await(t, "default", "my-first-flunder", "get", "flunders", "-l", "sample-label=true")
		if text := k.Run(t, "explain", "flunder.spec"); !strings.Contains(text, "referenceType") {
			t.Errorf("explain says\n%s", text)
		}
		k.Run(t, "annotate", "flunder", "my-first-flunder", "seen=yes")
		k.Run(t, "wait", "--for=jsonpath={.metadata.annotations.seen}=yes", "flunder/my-first-flunder", "--timeout=30s")
		k.Run(t, "delete", "flunder", "my-first-flunder", "--wait")
	})
	expect(t, m.String(), "its own admission refuses", func(t *testing.T) {
		k.With(t, `{apiVersion: wardle.example.com/v1alpha1, kind: Fischer, metadata: {name: strict}, disallowedFlunders: [banned]}`, nil, "create", "-f", "-")
		await(t, "default", "strict", "get", "fischers")
		out := k.TryWith(t, `{apiVersion: wardle.example.com/v1alpha1, kind: Flunder, metadata: {name: banned}}`, "create", "-f", "-")
		if out.Err == nil || !strings.Contains(out.Stderr, "forbidden") {
			t.Errorf("the banned flunder: %s", out)
		}
	})
	expect(t, m.String(), "who may not is refused with the reason", func(t *testing.T) {
		out := k.Fails(t, []string{"forbidden", "system:serviceaccount:default:default"}, "get", "flunders", "--as=system:serviceaccount:default:default")
		if !strings.Contains(out.Stderr, "wardle.example.com") {
			t.Errorf("the group is not named: %s", out)
		}
	})
	expect(t, m.String(), "without it only its group is gone, until it is back", func(t *testing.T) {
		kubectl(namespace).Run(t, "scale", "deployment", "wardle-server", "--replicas=0")
		all.Run(t, "wait", "--for=condition=Available=False", "apiservice/v1alpha1.wardle.example.com", "--timeout=4m")
		k.Fails(t, nil, "get", "flunders")
		k.Run(t, "get", "configmaps")
		kubectl(namespace).Run(t, "scale", "deployment", "wardle-server", "--replicas=1")
		all.Run(t, "wait", "--for=condition=Available", "apiservice/v1alpha1.wardle.example.com", "--timeout=4m")
		k.Run(t, "get", "flunders")
	})
	expect(t, m.String(), "a namespace takes its flunders with it, and the group goes with its API service", func(t *testing.T) {
		all.Run(t, "create", "namespace", "fishing")
		kubectl("fishing").Run(t, "create", "-f", m.file("artifacts", "flunders", "01-flunder.yaml"))
		all.Run(t, "delete", "namespace", "fishing", "--timeout=90s")
		all.Run(t, "delete", "fischers", "--all") // its etcd began anew with its pod
		all.Run(t, "delete", "apiservice", "v1alpha1.wardle.example.com")
		all.Run(t, "delete", "namespace", namespace, "--timeout=90s")
		all.With(t, mutatingPolicies, nil, "delete", "-f", "-")
		if groups := all.Run(t, "api-versions"); strings.Contains(groups, "wardle") {
			t.Errorf("still served:\n%s", groups)
		}
	})
}

// mutatingPolicies are rights that the sample's role lacks: its admission reads
// mutating policies since 1.36, and refuses until it has.
const mutatingPolicies = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: wardle-mutating-policies}
rules: [{apiGroups: [admissionregistration.k8s.io], resources: [mutatingadmissionpolicies, mutatingadmissionpolicybindings], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: wardle-mutating-policies}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wardle-mutating-policies}
subjects: [{kind: ServiceAccount, name: apiserver, namespace: wardle}]
`
