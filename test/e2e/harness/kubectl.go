package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// oldestKubectl is the oldest minor version of kubectl 1 that must work.
const oldestKubectl = 32

// Kubectl is a kubectl to talk to a cluster with.
type Kubectl struct {
	// Name is "kubectl" or "knarr-kubectl".
	Name    string
	cluster *Cluster
	argv    []string
}

// BuiltIn is the kubectl within knarr.
func (c *Cluster) BuiltIn() Kubectl {
	return Kubectl{Name: "knarr-kubectl", cluster: c, argv: []string{c.Knarr, "kubectl"}}
}

// Kubectls are the ways to call kubectl: the one within knarr, and the plain
// one that is installed. Where none is, or only one that is too old, a note
// says so and the plain one is left out.
func (c *Cluster) Kubectls(t testing.TB) []Kubectl {
	t.Helper()
	all := []Kubectl{c.BuiltIn()}
	path, err := exec.LookPath("kubectl")
	if err != nil {
		t.Log("no plain kubectl is installed: only the one within knarr is tested")
		return all
	}
	out, err := exec.CommandContext(t.Context(), path, "version", "--client", "-o", "json").Output()
	if err != nil {
		t.Fatalf("%s version: %v", path, err)
	}
	var v struct {
		ClientVersion struct{ Major, Minor, GitVersion string }
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%s version: %v\n%s", path, err, out)
	}
	minor, err := strconv.Atoi(strings.TrimRight(v.ClientVersion.Minor, "+"))
	if err != nil || v.ClientVersion.Major != "1" || minor < oldestKubectl {
		t.Logf("%s is %s, older than 1.%d: only the one within knarr is tested", path, v.ClientVersion.GitVersion, oldestKubectl)
		return all
	}
	return append(all, Kubectl{Name: "kubectl", cluster: c, argv: []string{path}})
}

func (k Kubectl) input(args []string) Input {
	return Input{Argv: append(append([]string{}, k.argv...), args...)}
}

// Run runs kubectl, which must succeed, and returns its standard output.
func (k Kubectl) Run(t testing.TB, args ...string) string {
	t.Helper()
	return k.cluster.Run(t, k.input(args))
}

// With runs kubectl, which must succeed, with standard input and variables.
func (k Kubectl) With(t testing.TB, stdin string, env []string, args ...string) string {
	t.Helper()
	in := k.input(args)
	in.Stdin, in.Env = stdin, env
	return k.cluster.Run(t, in)
}

// Try runs kubectl to its end, whatever that is.
func (k Kubectl) Try(t testing.TB, args ...string) Outcome {
	t.Helper()
	return k.cluster.Try(context.WithoutCancel(t.Context()), k.input(args))
}

// Fails runs kubectl, which must fail and say all the words.
func (k Kubectl) Fails(t testing.TB, words []string, args ...string) Outcome {
	t.Helper()
	out := k.Try(t, args...)
	if out.Err == nil {
		t.Fatalf("this should have failed: %s", out)
	}
	for _, w := range words {
		if !strings.Contains(out.Stderr, w) {
			t.Errorf("the failure does not say %q: %s", w, out)
		}
	}
	return out
}

// Start starts kubectl beside the test.
func (k Kubectl) Start(t testing.TB, args ...string) *Running {
	t.Helper()
	return k.cluster.Start(t, k.input(args))
}

// In is the same kubectl with a default namespace.
func (k Kubectl) In(namespace string) Kubectl {
	k.argv = append(append([]string{}, k.argv...), fmt.Sprintf("--namespace=%s", namespace))
	return k
}

// TryWith runs kubectl with standard input to its end, whatever that is.
func (k Kubectl) TryWith(t testing.TB, stdin string, args ...string) Outcome {
	t.Helper()
	in := k.input(args)
	in.Stdin = stdin
	return k.cluster.Try(context.WithoutCancel(t.Context()), in)
}
