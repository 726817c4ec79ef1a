package ecosystem

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// Kyverno from its own chart: policies validate, mutate and generate, by
// webhooks that it registers and changes itself as policies come and go.
func TestKyverno(t *testing.T) {
	images(t, "reg.kyverno.io")
	m := pinned(t, "kyverno", "github.com/kyverno/kyverno")
	name, namespace := m.String(), "kyverno"
	tell(t, namespace)
	expect(t, name, "its four controllers become ready", func(t *testing.T) {
		kubectl("").Run(t, "create", "-R", "-f", m.file("config", "crds"))
		helm(t, "install", "kyverno", m.chart(t, "charts/kyverno"), "-n", namespace, "--create-namespace", "--timeout=4m",
			"--set", "crds.install=false,openreports.installCrds=false,grafana.enabled=false,webhooksCleanup.enabled=false,policyReportsCleanup.enabled=false,crds.migration.enabled=false")
		rolledOut(t, namespace, "kyverno-admission-controller", "kyverno-background-controller", "kyverno-cleanup-controller", "kyverno-reports-controller")
	})
	kubectl("").Run(t, "create", "namespace", "policed")
	k := kubectl("policed")
	expect(t, name, "policies of three sorts become ready", func(t *testing.T) {
		applied(t, "", policies)
		for _, policy := range []string{"require-crew", "add-flag", "give-rules"} {
			kubectl("").Run(t, "wait", "--for=condition=Ready", "clusterpolicy/"+policy, "--timeout=4m")
		}
	})
	expect(t, name, "a validating policy refuses with its message", func(t *testing.T) {
		harness.Await(t, patience, "refusal", func(context.Context) error {
			out := k.Try(t, "create", "configmap", "alone", "--dry-run=server")
			if out.Err == nil || !containsAll(out.Stderr, "validate.kyverno.svc-fail", "every chest names its crew") {
				return errors.New(out.String())
			}
			return nil
		})
	})
	expect(t, name, "a mutating policy adds what is missing", func(t *testing.T) {
		k.With(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: chest, labels: {crew: red}}}`, nil, "create", "-f", "-")
		if flag := k.Run(t, "get", "configmap", "chest", "-o", "jsonpath={.metadata.labels.flag}"); flag != "raven" {
			t.Errorf("the flag is %q", flag)
		}
	})
	expect(t, name, "a generating policy makes objects in new namespaces", func(t *testing.T) {
		kubectl("").With(t, `{apiVersion: v1, kind: Namespace, metadata: {name: colony, labels: {ruled: "yes"}}}`, nil, "create", "-f", "-")
		await(t, "colony", "share alike", "get", "configmap", "rules", "-o", "jsonpath={.data.first}")
	})
	expect(t, name, "a CEL policy of its newer API refuses", func(t *testing.T) {
		applied(t, "", celPolicy)
		harness.Await(t, patience, "refusal", func(context.Context) error {
			out := k.Try(t, "create", "secret", "generic", "barrel", "--from-literal=a=b", "--dry-run=server")
			if out.Err == nil || !strings.Contains(out.Stderr, "a barrel needs a lid") {
				return errors.New(out.String())
			}
			return nil
		})
	})
	expect(t, name, "reports tell which objects pass", func(t *testing.T) {
		await(t, "policed", "pass", "get", "policyreports", "-o", "jsonpath={.items[*].results[*].result}")
	})
	expect(t, name, "helm uninstall lets everything go again", func(t *testing.T) {
		kubectl("").Run(t, "delete", "clusterpolicy", "--all", "--timeout=4m")
		kubectl("").Run(t, "delete", "validatingpolicies.policies.kyverno.io", "--all", "--timeout=4m")
		helm(t, "uninstall", "kyverno", "-n", namespace, "--wait", "--timeout=90s")
		kubectl("").Run(t, "delete", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-l", "webhook.kyverno.io/managed-by=kyverno")
		kubectl("").Run(t, "delete", "namespace", "policed", "colony", namespace, "--timeout=90s")
		kubectl("").Run(t, "delete", "-R", "-f", m.file("config", "crds"), "--timeout=90s")
	})
}

const (
	policies = `
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: require-crew}
spec:
  rules:
  - name: crew
    match: {any: [{resources: {kinds: [ConfigMap], namespaces: [policed]}}]}
    exclude: {any: [{resources: {names: [kube-root-ca.crt]}}]}
    validate:
      failureAction: Enforce
      message: every chest names its crew
      pattern: {metadata: {labels: {crew: "?*"}}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: add-flag}
spec:
  rules:
  - name: flag
    match: {any: [{resources: {kinds: [ConfigMap], namespaces: [policed]}}]}
    mutate:
      patchStrategicMerge: {metadata: {labels: {+(flag): raven}}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: give-rules}
spec:
  rules:
  - name: rules
    match: {any: [{resources: {kinds: [Namespace], selector: {matchLabels: {ruled: "yes"}}}}]}
    generate:
      apiVersion: v1
      kind: ConfigMap
      name: rules
      namespace: "{{request.object.metadata.name}}"
      synchronize: true
      data: {data: {first: share alike}}
`
	celPolicy = `
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: lids}
spec:
  validationActions: [Deny]
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: policed}}
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets]}
  validations:
  - expression: "'lid' in object.data"
    message: a barrel needs a lid
`
)
