package e2e

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// helm is `knarr helm` in a namespace.
type helm struct{ namespace string }

func (h helm) try(t *testing.T, args ...string) harness.Outcome {
	t.Helper()
	argv := append([]string{cluster.Knarr, "helm", "--namespace", h.namespace}, args...)
	return cluster.Try(context.WithoutCancel(t.Context()), harness.Input{Argv: argv})
}

func (h helm) run(t *testing.T, args ...string) string {
	t.Helper()
	out := h.try(t, args...)
	if out.Err != nil {
		t.Fatalf("%s", out)
	}
	return out.Stdout
}

// history is each revision's status, in order.
func (h helm) history(t *testing.T, release string) string {
	t.Helper()
	var revisions []struct{ Status string }
	if text := h.run(t, "history", release, "-o", "json"); json.Unmarshal([]byte(text), &revisions) != nil {
		t.Fatalf("history: %s", text)
	}
	var all []string
	for _, r := range revisions {
		all = append(all, r.Status)
	}
	return strings.Join(all, " ")
}

// A chart with a custom resource and hooks is installed, tested, upgraded,
// rolled back and uninstalled; a hook that fails keeps the former revision.
func TestHelm(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k, h := s.Kubectl, helm{s.Name}
	chart, err := filepath.Abs("testdata/galley")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Try(t, "delete", "crd", "oars.galley.knarr.io", "--ignore-not-found") }) // Helm leaves them
	tide := func(want string) {
		t.Helper()
		is(t, k.Run(t, "get", "configmap", "ship", "-o", "jsonpath={.data.tide}"), want)
		is(t, k.Run(t, "get", "deployment", "ship", "-o", "jsonpath={.spec.template.spec.containers[0].env[0].value} {.status.readyReplicas} {.status.updatedReplicas}"), want+" 2 2")
	}
	hook := func(name, status string) {
		t.Helper()
		is(t, k.Run(t, "get", "job", "ship-"+name, "-o", "jsonpath={.status.conditions[?(@.status=='True')].type}"), status)
	}
	const done, failed = "SuccessCriteriaMet Complete", "FailureTarget Failed"

	hasWords(t, h.run(t, "install", "ship", chart, "--wait", "--timeout=4m", "--set=image="+busybox), "STATUS: deployed", "ship sails at low tide on Kubernetes v1.36")
	tide("low")
	hook("stow", done)
	hook("cheer", done)
	is(t, k.Run(t, "get", "oar", "ship", "-o", "jsonpath={.spec.side}"), "port")
	hasWords(t, h.run(t, "test", "ship", "--logs"), "Phase:          Succeeded", "the tide is low")

	hasWords(t, h.run(t, "upgrade", "ship", chart, "--wait", "--timeout=4m", "--reuse-values", "--set=tide=high"), "REVISION: 2")
	tide("high")
	if out := h.try(t, "upgrade", "ship", chart, "--timeout=4m", "--reuse-values", "--set=tide=low", "--set=stow=false"); out.Err == nil || !strings.Contains(out.Stderr, "pre-upgrade hooks failed") {
		t.Errorf("an upgrade whose hook fails: %s", out)
	}
	hook("stow", failed)
	tide("high")
	if out := h.try(t, "upgrade", "ship", chart, "--reuse-values", "--set=tide=neap"); out.Err == nil || !strings.Contains(out.Stderr, "tide") {
		t.Errorf("an upgrade against the chart's schema: %s", out)
	}
	is(t, h.history(t, "ship"), "superseded deployed failed")

	h.run(t, "rollback", "ship", "1", "--wait", "--timeout=4m")
	tide("low")
	hook("turn", done)
	is(t, h.history(t, "ship"), "superseded superseded failed deployed")
	hasWords(t, h.run(t, "list"), "ship", "galley-0.1.0", "deployed")

	hasWords(t, h.run(t, "uninstall", "ship", "--wait", "--timeout=4m"), `release "ship" uninstalled`)
	hook("wreck", done)
	is(t, k.Run(t, "get", "deployment,service,configmap,oar", "-l", "app.kubernetes.io/name=galley", "-o", "name"), "")
	is(t, k.Run(t, "get", "secret", "-l", "owner=helm", "-o", "name"), "")
	if out := h.try(t, "status", "ship"); out.Err == nil || !strings.Contains(out.Stderr, "not found") {
		t.Errorf("the status of an uninstalled release: %s", out)
	}
}
