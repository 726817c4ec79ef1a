package ecosystem

import (
	"fmt"
	"strings"
	"testing"
)

// The Prometheus operator from its own bundle, with the webhook that judges
// rules: a Prometheus becomes a StatefulSet, rules become files of it.
func TestPrometheusOperator(t *testing.T) {
	images(t, "quay.io_prometheus-operator")
	m := pinned(t, "prometheus-operator", "github.com/prometheus-operator/prometheus-operator")
	name, namespace := m.String(), "monitoring"
	tell(t, namespace)
	here := []string{"namespace: default", "namespace: " + namespace}
	kubectl("").Run(t, "create", "namespace", namespace)
	k := kubectl(namespace)
	bundle := m.text(t, "bundle.yaml", here...)
	expect(t, name, "its definitions and the operator of its bundle become ready", func(t *testing.T) {
		k.With(t, bundle, nil, "apply", "--server-side", "-f", "-")
		rolledOut(t, namespace, "prometheus-operator")
	})
	expect(t, name, "a Prometheus becomes a StatefulSet with its configuration", func(t *testing.T) {
		k.With(t, prometheus, nil, "apply", "-f", "-")
		await(t, namespace, "prometheus", "get", "statefulset", "prometheus-ship", "-o", "jsonpath={.spec.template.spec.containers[*].name}")
		await(t, namespace, "prometheus.yaml.gz", "get", "secret", "prometheus-ship", "-o", "jsonpath={.data}")
	})
	expect(t, name, "a PrometheusRule becomes a file of rules", func(t *testing.T) {
		k.With(t, rule("good", "vector(1)"), nil, "apply", "-f", "-")
		await(t, namespace, "vector(1)", "get", "configmap", "prometheus-ship-rulefiles-0", "-o", "jsonpath={.data}")
	})
	expect(t, name, "it lists the nodes' kubelets as endpoints", func(t *testing.T) {
		await(t, "kube-system", "10250", "get", "endpoints", "kubelet", "-o", "jsonpath={.subsets[0].ports[*].port}")
	})
	expect(t, name, "its admission webhook, on every node, refuses a bad rule", func(t *testing.T) {
		judge(t, m, namespace, here)
		applied(t, namespace, rule("better", "vector(2)"))
		out := k.TryWith(t, rule("bad", "vector("), "create", "-f", "-")
		if out.Err == nil || !strings.Contains(out.Stderr, "could not parse expression") {
			t.Errorf("%s", out)
		}
	})
	expect(t, name, "what it made goes with its object, and everything with its bundle", func(t *testing.T) {
		kubectl("").Run(t, "delete", "validatingwebhookconfiguration", "prometheus-rules")
		k.Run(t, "delete", "prometheus", "ship", "--cascade=foreground", "--timeout=4m")
		k.With(t, bundle, nil, "delete", "--timeout=90s", "-f", "-")
		kubectl("").Run(t, "delete", "namespace", namespace, "--timeout=90s")
	})
}

// judge installs the webhook of rules.
func judge(t *testing.T, m module, namespace string, here []string) {
	t.Helper()
	k := kubectl(namespace)
	certificate, key := selfSigned(t, "prometheus-operator-admission-webhook."+namespace+".svc")
	k.With(t, secret("admission-webhook-certs", certificate, key), nil, "apply", "-f", "-")
	for _, file := range []string{"service-account", "service", "deployment"} {
		k.With(t, m.text(t, "example/admission-webhook/"+file+".yaml", here...), nil, "apply", "-f", "-")
	}
	rolledOut(t, namespace, "prometheus-operator-admission-webhook")
	k.With(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: prometheus-rules}
webhooks:
- name: prometheusrules.monitoring.coreos.com
  sideEffects: None
  admissionReviewVersions: [v1]
  clientConfig:
    caBundle: %s
    service: {namespace: %s, name: prometheus-operator-admission-webhook, path: /admission-prometheusrules/validate}
  rules: [{operations: [CREATE, UPDATE], apiGroups: [monitoring.coreos.com], apiVersions: [v1], resources: [prometheusrules]}]
`, encode(certificate), namespace), nil, "apply", "-f", "-")
}

// rule is a PrometheusRule of one recording rule.
func rule(name, expression string) string {
	return fmt.Sprintf(`{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: %s, labels: {ship: "yes"}}, spec: {groups: [{name: g, rules: [{record: a:b, expr: %q}]}]}}`, name, expression)
}

// No image of Prometheus itself is built: the StatefulSet is held against what
// the operator is to make of the object.
const prometheus = `{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: ship}, spec: {replicas: 0, ruleSelector: {matchLabels: {ship: "yes"}}, serviceMonitorSelector: {}}}`
