package ecosystem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// patience bounds each wait on a machine that is busy.
const patience = harness.Patience

// convoys says how the operator is installed: with a certificate that the test
// made, or one of cert-manager's, which then also injects the bundle.
type convoys struct {
	Namespace, Bundle string
	CertManager       bool
}

// manifests are the operator's own files.
func (c convoys) manifests(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/operator.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := template.Must(template.New("operator").Parse(string(text))).Execute(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// serving makes a secret with a certificate for the operator's webhooks, and
// returns the bundle that the API server is to trust.
func serving(t *testing.T, namespace string) string {
	t.Helper()
	certificate, key := selfSigned(t, "convoys."+namespace+".svc")
	kubectl(namespace).With(t, secret("serving", certificate, key), nil, "apply", "-f", "-")
	return encode(certificate)
}

// An operator made with controller-runtime runs as a pod on any node: its
// webhooks default, refuse and convert, and its reconciler works.
func TestOperator(t *testing.T) {
	images(t, "docker.io_knarr_convoy")
	const namespace = "convoys"
	kubectl("").Run(t, "create", "namespace", namespace)
	c := convoys{Namespace: namespace, Bundle: serving(t, namespace)}
	install(t, pinned(t, "operator", "sigs.k8s.io/controller-runtime").String(), c)
}

// install installs the operator, holds it against what is expected, and takes
// it away again with its kind.
func install(t *testing.T, name string, c convoys) {
	t.Helper()
	tell(t, c.Namespace)
	k := kubectl(c.Namespace)
	expect(t, name, "a manager with webhooks becomes ready", func(t *testing.T) {
		k.With(t, c.manifests(t), nil, "apply", "-f", "-")
		rolledOut(t, c.Namespace, "convoys")
	})
	expect(t, name, "its webhooks default, warn and refuse", func(t *testing.T) { judged(t, c.Namespace) })
	expect(t, name, "its reconciler makes a Deployment and tells its state", func(t *testing.T) {
		await(t, c.Namespace, "2", "get", "convoy", "first", "-o", "jsonpath={.status.afloat}")
		k.Run(t, "scale", "convoy", "first", "--replicas=3")
		await(t, c.Namespace, "3", "get", "convoy", "first", "-o", "jsonpath={.status.afloat}")
	})
	expect(t, name, "its conversion webhook gives and takes the former version", func(t *testing.T) {
		await(t, c.Namespace, "3 raven", "get", "convoys.v1beta1.ecosystem.knarr.io", "first", "-o", "jsonpath={.spec.vessels} {.spec.flag}")
		k.With(t, `{apiVersion: ecosystem.knarr.io/v1beta1, kind: Convoy, metadata: {name: former}, spec: {vessels: 4}}`, nil, "create", "-f", "-", "--dry-run=server")
		k.Run(t, "patch", "convoys.v1beta1.ecosystem.knarr.io", "first", "--type=merge", "-p", `{"spec":{"vessels":2}}`)
		await(t, c.Namespace, "2", "get", "convoy", "first", "-o", "jsonpath={.spec.ships}")
	})
	expect(t, name, "what it owns goes with its object, and its kind with its definition", func(t *testing.T) {
		k.Run(t, "delete", "convoy", "first", "--cascade=foreground", "--timeout=4m")
		if left := k.Run(t, "get", "deployments", "-o", "name"); strings.Contains(left, "first") {
			t.Errorf("left are %s", left)
		}
		k.Run(t, "delete", "crd", "convoys.ecosystem.knarr.io", "--timeout=4m")
		k.With(t, c.manifests(t), nil, "delete", "--ignore-not-found", "--timeout=4m", "-f", "-")
	})
}

// judged creates convoys that the webhooks complete or refuse.
func judged(t *testing.T, namespace string) {
	k := kubectl(namespace)
	convoy := func(name, spec string) string {
		return fmt.Sprintf(`{apiVersion: ecosystem.knarr.io/v1, kind: Convoy, metadata: {name: %s}, spec: {%s}}`, name, spec)
	}
	harness.Await(t, patience, "webhooks in effect", func(context.Context) error {
		out := k.TryWith(t, convoy("pirates", "ships: 2, flag: skull"), "create", "-f", "-", "--dry-run=server")
		if out.Err == nil || !strings.Contains(out.Stderr, "pirates do not sail in convoys") {
			return errors.New(out.String())
		}
		out = k.TryWith(t, convoy("plain", "ships: 2"), "create", "-f", "-", "--dry-run=server", "-o", "jsonpath={.spec.flag}")
		if out.Stdout != "raven" {
			return errors.New(out.String())
		}
		return nil
	})
	out := k.TryWith(t, convoy("first", "ships: 1"), "create", "-f", "-", "--dry-run=server")
	if out.Err != nil || !strings.Contains(out.Stderr, "a convoy of one ship is lonely") {
		t.Errorf("no warning: %s", out)
	}
	k.With(t, convoy("first", "ships: 2"), nil, "create", "-f", "-")
	if flag := k.Run(t, "get", "convoy", "first", "-o", "jsonpath={.spec.flag}"); flag != "raven" {
		t.Errorf("the flag is %q", flag)
	}
	k.Fails(t, []string{"a convoy keeps its flag"}, "patch", "convoy", "first", "--type=merge", "-p", `{"spec":{"flag":"lion"}}`)
}
