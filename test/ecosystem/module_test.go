package ecosystem

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// module is where the files of a pinned module lie, and which version it is.
type module struct{ Path, Dir, Version string }

// pinned finds a module that the one in programs/dir requires.
func pinned(t *testing.T, dir, path string) module {
	t.Helper()
	find := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", path)
	find.Dir = filepath.Join("programs", dir)
	out, err := find.Output()
	m := module{}
	if err == nil {
		err = json.Unmarshal(out, &m)
	}
	if err != nil || m.Dir == "" {
		t.Fatalf("find the module %s: %v %s", path, err, out)
	}
	return m
}

// String names the module in the ledger.
func (m module) String() string { return m.Path + " " + m.Version }

// file is the path of one of the module's files.
func (m module) file(parts ...string) string {
	return filepath.Join(append([]string{m.Dir}, parts...)...)
}

// text is one of the module's files, in which pairs of old and new are replaced.
func (m module) text(t *testing.T, path string, oldnew ...string) string {
	t.Helper()
	data, err := os.ReadFile(m.file(path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(oldnew...).Replace(string(data))
}

// chart is a copy of a Helm chart of the module, without the dependencies that
// the module does not bring.
func (m module) chart(t *testing.T, path string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "chart")
	if err := os.CopyFS(dir, os.DirFS(m.file(path))); err != nil {
		t.Fatal(err)
	}
	about := filepath.Join(dir, "Chart.yaml")
	data, err := os.ReadFile(about)
	if err != nil {
		t.Fatal(err)
	}
	own, list, cut := strings.Cut(string(data), "\ndependencies:")
	if !cut {
		return dir
	}
	var there []map[string]any
	if err := yaml.Unmarshal([]byte(list), &there); err != nil {
		t.Fatal(err)
	}
	there = slices.DeleteFunc(there, func(d map[string]any) bool {
		_, err := os.Stat(filepath.Join(dir, "charts", fmt.Sprint(d["name"])))
		return err != nil
	})
	kept, err := yaml.Marshal(map[string]any{"dependencies": there})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{about, filepath.Join(dir, "Chart.lock")} {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(about, []byte(own+"\n"+string(kept)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// helm runs `knarr helm`, which must succeed.
func helm(t *testing.T, args ...string) string {
	t.Helper()
	return cluster.Run(t, harness.Input{Argv: append([]string{cluster.Knarr, "helm"}, args...)})
}

// kubectl is the one within knarr, set to a namespace.
func kubectl(namespace string) harness.Kubectl { return cluster.BuiltIn().In(namespace) }

// images imports the archives whose names begin so.
func images(t *testing.T, names ...string) {
	t.Helper()
	if err := cluster.Import(t.Context(), names...); err != nil {
		t.Fatal(err)
	}
}

// tell shows what became of a namespace's pods after a failure.
func tell(t *testing.T, namespace string) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		k := kubectl(namespace)
		t.Log(k.Try(t, "get", "pods,events", "-o", "wide").Stdout)
		for _, pod := range strings.Fields(k.Try(t, "get", "pods", "-o", "name").Stdout) {
			t.Log(k.Try(t, "logs", pod, "--all-containers", "--tail=25"))
			if out := k.Try(t, "logs", pod, "--previous", "--tail=25"); out.Err == nil {
				t.Log("before it was restarted:", out)
			}
		}
	})
}

// rolledOut waits for Deployments of a namespace.
func rolledOut(t *testing.T, namespace string, deployments ...string) {
	t.Helper()
	for _, d := range deployments {
		kubectl(namespace).Run(t, "rollout", "status", "deployment/"+d, "--timeout=4m")
	}
}

// await waits until kubectl, asked so, prints what is wanted.
func await(t *testing.T, namespace, want string, args ...string) {
	t.Helper()
	harness.Await(t, patience, want+" of "+strings.Join(args, " "), func(context.Context) error {
		out := kubectl(namespace).Try(t, args...)
		if out.Err != nil || !strings.Contains(out.Stdout, want) {
			return &unexpected{out}
		}
		return nil
	})
}

// unexpected is an outcome as an error.
type unexpected struct{ out harness.Outcome }

func (u *unexpected) Error() string { return u.out.String() }

func containsAll(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
