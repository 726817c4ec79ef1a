package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

const settings = `apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: {app: demo}
data:
  colour: blue
  size: "3"
`

// Objects are applied, compared, changed in every way, and shown.
func TestKubectlChangesObjects(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		colour := func(want string) {
			t.Helper()
			is(t, k.Run(t, "get", "configmap", "settings", "-o", "jsonpath={.data.colour}"), want)
		}
		hasWords(t, k.With(t, settings, nil, "apply", "-f", "-"), "configmap/settings created")
		hasWords(t, k.With(t, settings, nil, "apply", "-f", "-"), "configmap/settings unchanged")
		differs(t, k)
		red := strings.Replace(settings, "blue", "red", 1)
		hasWords(t, k.With(t, strings.Replace(red, `  size: "3"`+"\n", "", 1), nil, "apply", "-f", "-"), "configmap/settings configured")
		is(t, k.Run(t, "get", "configmap", "settings", "-o", "jsonpath={.data}"), `{"colour":"red"}`)
		k.With(t, "", []string{"KUBE_EDITOR=sed -i s/red/green/"}, "edit", "configmap", "settings")
		colour("green")
		k.Run(t, "patch", "configmap", "settings", "-p", `{"data":{"colour":"white"}}`)
		colour("white")
		k.Run(t, "patch", "configmap", "settings", "--type=merge", "-p", `{"data":{"colour":"grey","old":null}}`)
		colour("grey")
		k.Run(t, "patch", "configmap", "settings", "--type=json", "-p", `[{"op":"replace","path":"/data/colour","value":"black"}]`)
		colour("black")
		k.Fails(t, []string{"the server rejected our request due to an error in our request"}, "patch", "configmap", "settings", "--type=json", "-p", `[{"op":"test","path":"/data/colour","value":"pink"}]`)
		labels(t, k)
		hasWords(t, k.Run(t, "delete", "configmap", "settings"), `"settings" deleted`)
	})
}

func differs(t *testing.T, k harness.Kubectl) {
	red := strings.Replace(settings, "blue", "red", 1)
	out := k.TryWith(t, red, "diff", "-f", "-")
	if out.Code != 1 {
		t.Errorf("diff ends with 1 where there is a difference: %s", out)
	}
	hasWords(t, out.Stdout, "-  colour: blue", "+  colour: red")
	if out := k.TryWith(t, settings, "diff", "-f", "-"); out.Code != 0 || out.Stdout != "" {
		t.Errorf("diff of what is the same: %s", out)
	}
}

func labels(t *testing.T, k harness.Kubectl) {
	k.Run(t, "label", "configmap", "settings", "tier=front")
	k.Fails(t, []string{"'tier' already has a value (front)"}, "label", "configmap", "settings", "tier=back")
	k.Run(t, "label", "configmap", "settings", "tier=back", "--overwrite")
	is(t, k.Run(t, "get", "configmaps", "-l", "tier in (back),app=demo", "-o", "name"), "configmap/settings")
	k.Run(t, "label", "configmap", "settings", "tier-")
	k.Run(t, "annotate", "configmap", "settings", "note=a b c")
	is(t, k.Run(t, "get", "configmap", "settings", "-o", `jsonpath={.metadata.annotations.note}{.metadata.labels.tier}`), "a b c")
}

// Server-side apply keeps who owns what, and says so in a conflict.
func TestKubectlAppliesOnTheServer(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		hasWords(t, k.With(t, settings, nil, "apply", "--server-side", "-f", "-"), "configmap/settings serverside-applied")
		red := strings.Replace(settings, "blue", "red", 1)
		out := k.TryWith(t, red, "apply", "--server-side", "--field-manager=other", "-f", "-")
		hasWords(t, out.Stderr, `conflict with "kubectl"`, ".data.colour")
		k.With(t, red, nil, "apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-")
		hasWords(t, k.Run(t, "get", "configmap", "settings", "-o", "yaml", "--show-managed-fields"), "manager: other", "operation: Apply", "f:colour")
		k.With(t, strings.Replace(settings, "  colour: blue\n", "", 1), nil, "apply", "--server-side", "-f", "-")
		is(t, k.Run(t, "get", "configmap", "settings", "-o", "jsonpath={.data.colour}"), "red")
	})
}

// Objects are shown in every form.
func TestKubectlShowsObjects(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		watch := k.Start(t, "get", "pods", "-w")
		s.Apply(t, sleeper("first"))
		watch.Await(t, "first") // from here on nothing is missed
		s.Apply(t, sleeper("box"))
		pod := s.Ready(t, "box")
		watch.Await(t, "Pending")
		watch.Await(t, "Running")
		hasWords(t, k.Run(t, "get", "pods", "-o", "wide"), "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "box", "1/1", "Running", pod.Status.PodIP, harness.NodeName)
		hasWords(t, k.Run(t, "get", "pod", "box", "-o", "yaml"), "kind: Pod", "  name: box", "podIP: "+pod.Status.PodIP)
		hasWords(t, k.Run(t, "get", "pod", "box", "-o", "json"), `"kind": "Pod"`, `"qosClass": "BestEffort"`)
		is(t, k.Run(t, "get", "pods", "-l", "app=box", "-o", `jsonpath={range .items[*]}{.metadata.name}={.spec.containers[0].image}{"\n"}{end}`), "box="+busybox)
		hasWords(t, k.Run(t, "get", "pods", "-o", "custom-columns=WHO:.metadata.name,WHERE:.spec.nodeName"), "WHO", "WHERE", harness.NodeName)
		hasWords(t, k.Run(t, "get", "pods", "--sort-by=.metadata.name", "--show-labels"), "app=box")
		hasWords(t, k.Run(t, "get", "nodes", "-o", "wide"), harness.NodeName, "Ready", cluster.Machine.Address.String())
		for _, reason := range []string{"Scheduled", "Pulled", "Created", "Started"} {
			s.Event(t, "box", reason)
		}
		hasWords(t, k.Run(t, "describe", "pod", "box"), "Name:", "box", "IP:", pod.Status.PodIP, "Container ID:", "Events:", "Scheduled", "Pulled", "Created", "Started")
		hasWords(t, k.Run(t, "describe", "node", harness.NodeName), "Capacity:", "Allocatable:", "Non-terminated Pods:", "KubeletReady")
		hasWords(t, k.Run(t, "explain", "pod.spec.containers.livenessProbe"), "KIND:", "Pod", "FIELD: livenessProbe", "periodSeconds")
		hasWords(t, k.Run(t, "explain", "deployment", "--recursive"), "maxUnavailable")
		hasWords(t, k.Run(t, "events", "--for=pod/box"), "Scheduled", "Started")
		hasWords(t, k.Run(t, "get", "all"), "pod/box")
		hasWords(t, k.Run(t, "api-resources", "--api-group=apps"), "deployments", "deploy", "replicasets")
		hasWords(t, k.Run(t, "api-versions"), "apps/v1", "networking.k8s.io/v1")
		hasWords(t, k.Run(t, "cluster-info"), "Kubernetes control plane", "is running at")
		hasWords(t, k.Run(t, "version"), "Server Version: v1.36")
		k.Run(t, "delete", "pod", "box")
		k.Run(t, "wait", "--for=delete", "pod/box", "--timeout=4m")
	})
}

// Who may do what is answered as RBAC has it.
func TestKubectlAsksWhoMay(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		is(t, k.Run(t, "auth", "can-i", "delete", "nodes"), "yes")
		k.Run(t, "create", "serviceaccount", "reader")
		k.Run(t, "create", "role", "reads", "--verb=get,list", "--resource=pods")
		k.Run(t, "create", "rolebinding", "reads", "--role=reads", "--serviceaccount="+s.Name+":reader")
		as := "--as=system:serviceaccount:" + s.Name + ":reader"
		harness.Await(t, harness.Patience, "right to list pods", func(context.Context) error {
			if out := k.Try(t, "auth", "can-i", "list", "pods", as); strings.TrimSpace(out.Stdout) != "yes" {
				return errors.New(out.String())
			}
			return nil
		})
		if out := k.Try(t, "auth", "can-i", "delete", "pods", as); strings.TrimSpace(out.Stdout) != "no" || out.Code != 1 {
			t.Errorf("a reader may not delete: %s", out)
		}
		hasWords(t, k.Run(t, "auth", "can-i", "--list", as), "pods", "[get list]")
		hasWords(t, k.Run(t, "auth", "whoami"), "kubernetes-admin", "system:masters")
		k.Fails(t, []string{"Forbidden", `cannot delete resource "pods"`}, "delete", "pod", "box", as)
	})
}
