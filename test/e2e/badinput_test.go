package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// nobody is a user without any rights.
const nobody = 65534

// refused runs knarr, which must fail and say all the words.
func refused(t *testing.T, c *harness.Cluster, in harness.Input, words ...string) {
	t.Helper()
	in.Argv = append([]string{c.Knarr}, in.Argv...)
	out := c.Try(t.Context(), in)
	if out.Code != 1 {
		t.Errorf("this should have failed with exit code 1: %s", out)
	}
	says(t, "the refusal of "+strings.Join(in.Argv[1:], " "), out.Stderr, words...)
	if strings.Contains(out.Stderr, "goroutine ") {
		t.Errorf("a panic is no answer: %s", out)
	}
}

// What is mistyped is refused by its place, with the name that was meant.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	for line, words := range map[string][]string{
		"up --data-dri /x":            {"unknown flag: --data-dri", "did you mean --data-dir?"},
		"down --purg":                 {"unknown flag: --purg", "did you mean --purge?"},
		"upp":                         {`unknown command "upp" for "knarr"`, "Did you mean this?", "\tup"},
		"image pul x":                 {`unknown command "pul" for "knarr image"`, `did you mean "pull"?`},
		"up --api-port 99999":         {"--api-port", "from 1 to 65535"},
		"up --pod-network 10.0.0.0":   {"--pod-network", "10.244.0.0/16"},
		"up --log-level loud":         {"want debug, info, warn or error"},
		"up --config /nothing/at-all": {"read the settings file", "/nothing/at-all", "no such file"},
	} {
		refused(t, cluster, harness.Input{Argv: strings.Fields(line)}, words...)
	}
	refused(t, cluster, harness.Input{Argv: []string{"up"}, Env: []string{"KNARR_DATA_DRI=/x"}},
		"environment variable KNARR_DATA_DRI", `did you mean "data-dir"?`)
	for text, words := range map[string][]string{
		"# mine\nnode-name: a\nhttp-prot: 8080\n": {"line 3", `there is no setting "http-prot"`, `did you mean "http-port"?`},
		"http-port: eighty\n":                     {"line 1", "http-port", `"eighty"`},
		"http-port: 1\nhttp-port: 2\n":            {"line 2", `"http-port" was set on line 1 already`},
		"- a\n- b\n":                              {"line 1", "name: value"},
		"a: [b\n":                                 {"settings file"},
	} {
		file := filepath.Join(t.TempDir(), "knarr.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, cluster, harness.Input{Argv: []string{"up", "--config", file}}, append(words, file)...)
	}
}

// A manifest that cannot be is refused with the field and the reason, as
// kubectl's users know it, and leaves nothing behind.
func TestInvalidManifests(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	for name, tc := range map[string]struct {
		manifest string
		words    []string
	}{
		"unknown field": {`{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, dota: {a: b}}`, []string{`unknown field "dota"`}},
		"nested unknown": {`{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {replica: 1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}`,
			[]string{`unknown field "spec.replica"`}},
		"no containers": {`{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {}}`, []string{`The Pod "x" is invalid: spec.containers: Required value`}},
		"selector": {`{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}`,
			[]string{`The Deployment "x" is invalid: spec.template.metadata.labels: Invalid value: {"a":"b"}`, "`selector` does not match template `labels`"}},
		"port":     {`{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{port: 70000}]}}`, []string{"spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"}},
		"name":     {`{apiVersion: v1, kind: ConfigMap, metadata: {name: Big_Name}}`, []string{"metadata.name: Invalid value: \"Big_Name\": a lowercase RFC 1123 subdomain must consist of"}},
		"quantity": {`{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: c, image: i, resources: {limits: {memory: lots}}}]}}`, []string{"quantities must match the regular expression"}},
		"type":     {`{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: 1}}`, []string{"cannot unmarshal number into Go struct field ConfigMap.data of type string"}},
		"no kind":  {`{apiVersion: v1, metadata: {name: x}}`, []string{"kind not set"}},
		"yaml":     {"apiVersion: v1\nkind: [\n", []string{"error parsing STDIN", "line "}},
		"two": {`{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {restartPolicy: Sometimes, containers: [{name: A, image: ""}]}}`,
			[]string{`spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"`, `spec.containers[0].name: Invalid value: "A"`, "spec.containers[0].image: Required value"}},
	} {
		in := harness.Input{Argv: []string{cluster.Knarr, "kubectl", "--namespace=" + s.Name, "apply", "-f", "-"}, Stdin: tc.manifest}
		out := cluster.Try(t.Context(), in)
		if out.Code != 1 {
			t.Errorf("%s: want exit code 1: %s", name, out)
		}
		says(t, name, out.Stderr, tc.words...)
	}
	unknown := filepath.Join(t.TempDir(), "podd.yaml")
	if err := os.WriteFile(unknown, []byte("{apiVersion: v1, kind: Podd, metadata: {name: x}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Kubectl.Fails(t, []string{`no matches for kind "Podd" in version "v1"`}, "create", "--validate=false", "-f", unknown)
	s.Kubectl.Fails(t, []string{`the server doesn't have a resource type "podd"`}, "get", "podd")
	if left := s.Kubectl.Run(t, "get", "pods,deployments,services,configmaps", "-o", "name"); left != "configmap/kube-root-ca.crt\n" {
		t.Errorf("refused manifests have left %q", left)
	}
}

// Whoever is not root is told what to do.
func TestNotRoot(t *testing.T) {
	t.Parallel()
	program := copyOf(t, cluster.Knarr)
	as := func(argv ...string) harness.Outcome {
		return cluster.Try(t.Context(), harness.Input{Argv: append([]string{program}, argv...), Env: []string{"HOME=/"}, Prepare: func(cmd *exec.Cmd) {
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}})
	}
	for _, tc := range []struct {
		argv  string
		words []string
	}{
		{"up", []string{"a cluster's containers need root", "what to do: run it again with sudo: sudo " + program + " up"}},
		{"down", []string{"sudo"}},
		{"status", []string{"sudo"}},
		{"image ls", []string{"permission denied", "sudo"}},
	} {
		out := as(strings.Fields(tc.argv)...)
		if out.Code != 1 {
			t.Errorf("as nobody: %s", out)
		}
		says(t, tc.argv, out.Stderr, tc.words...)
	}
	if out := as("version"); out.Err != nil {
		t.Errorf("the version is for everybody: %s", out)
	}
	// The keys of the cluster are for root alone.
	for _, path := range []string{"pki", "admin.kubeconfig", "store"} {
		info, err := os.Stat(filepath.Join(cluster.DataDir(), path))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v; want no rights for others", path, info.Mode(), err)
		}
	}
}

// copyOf copies a program to where everybody can run it.
func copyOf(t *testing.T, program string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "knarr-e2e-program-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	from, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(dir, "knarr"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(to, from); err == nil {
		err = to.Close()
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to.Name()
}

// An archive that is cut, empty or none at all is refused and leaves no image.
func TestCorruptArchives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := unknownArchive(t, dir)
	flipped := append([]byte{}, whole...)
	for i := len(flipped) / 3; i < len(flipped)/3+4096; i++ {
		flipped[i] ^= 0xff
	}
	const ref = "example.com/corrupt:1"
	for file, data := range map[string][]byte{
		"cut": whole[:len(whole)/2], "flipped": flipped, "empty": {}, "noise": []byte(strings.Repeat("ahoy ", 5000)), "gzip": {0x1f, 0x8b, 8, 0, 1, 2, 3},
	} {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, cluster, harness.Input{Argv: []string{"image", "import", "--name", ref, path}}, "import "+path+": ", "archive")
	}
	refused(t, cluster, harness.Input{Argv: []string{"image", "import", filepath.Join(dir, "nothing")}}, "no such file or directory")
	if list := cluster.Run(t, harness.Input{Argv: []string{cluster.Knarr, "image", "ls"}}); strings.Contains(list, ref) {
		t.Errorf("a corrupt archive has left an image:\n%s", list)
	}
}

// unknownArchive is an archive of an image with layers that no node knows.
func unknownArchive(t *testing.T, dir string) []byte {
	t.Helper()
	image, err := random.Image(1<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example.com/unknown:1")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "whole.tar")
	if err := tarball.WriteToFile(path, tag, image); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// another is a cluster beside the shared one that is not up yet.
func another(t *testing.T) *harness.Cluster {
	t.Helper()
	c, err := harness.New(cluster.Knarr, cluster.Images)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Data that a newer Knarr wrote, or that is damaged, is refused and left as it
// is.
func TestDataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	c := another(t)
	if err := os.MkdirAll(c.DataDir(), 0o711); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(c.DataDir(), "cluster.json")
	for text, words := range map[string][]string{
		`{"Version": 999, "NodeName": "future"}`: {"has format 999", "newer Knarr", "another --data-dir"},
		`{"Version": `:                           {"damaged", file, "knarr down --purge"},
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, c, harness.Input{Argv: []string{"up"}}, words...)
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			t.Errorf("a refused up has changed %s to %q (%v)", file, now, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// A port that is taken means the next free one, and the line at the end says
// whose it is; the server by itself refuses.
func TestTakenPorts(t *testing.T) {
	t.Parallel()
	c := another(t)
	for _, port := range []int{6443, 80, 443} {
		l, err := c.Machine.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	own := fmt.Sprintf("e2e.test (pid %d)", os.Getpid())
	refused(t, c, harness.Input{Argv: []string{"server", "--api-only", "--store=memory"}}, "port 6443", own, "--api-port")
	out := c.Try(t.Context(), harness.Input{Argv: []string{c.Knarr, "up"}})
	if out.Err != nil {
		t.Fatalf("up beside taken ports: %s", out)
	}
	says(t, "up", out.Stdout, "port 6443 is taken by "+own+": the API is on 6444", "port 80 is taken by "+own+": HTTP is on 81", "port 443 is taken by "+own+": HTTPS is on 444")
	if again := c.Up(t.Context()); again.Err != nil || c.Ports != (harness.Ports{API: 6444, HTTP: 81, HTTPS: 444}) {
		t.Errorf("the ports are %+v: %s", c.Ports, again)
	}
	if out := c.Try(t.Context(), harness.Input{Argv: []string{c.Knarr, "kubectl", "get", "nodes"}}); !strings.Contains(out.Stdout, "Ready") {
		t.Errorf("kubectl by the port that up found: %s", out)
	}
	conn, err := c.Machine.Dial(t.Context(), "tcp", net.JoinHostPort(c.Machine.Address.String(), "81"))
	if err != nil {
		t.Fatalf("Ingress on the port that up found: %v", err)
	}
	_ = conn.Close()
}

// On a full disk writes are refused with a reason, reads and pods go on, and
// once there is room again all is as before.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	c := another(t)
	const size, leave = 600 << 20, 40 << 20
	if err := unix.Mount("tmpfs", c.Dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", size)); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() { // after Close: the last in, the first out
		if err := unix.Unmount(c.Dir, 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	t.Cleanup(func() {
		if out := c.Down(context.Background(), "--purge"); out.Err != nil {
			t.Errorf("%s", out)
		}
	})
	// The test is of the API's store: pods are not to be evicted meanwhile.
	node := filepath.Join(t.TempDir(), "node.yaml")
	text := "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nevictionHard: {memory.available: 100Mi}\n"
	if err := os.WriteFile(node, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := c.Up(t.Context(), "--node-config", node); out.Err != nil {
		t.Fatalf("up on a small disk: %s", out)
	}
	if err := c.Import(t.Context(), "docker.io_library_busybox"); err != nil {
		t.Fatal(err)
	}
	s := c.Space(t)
	s.Apply(t, sleeper("before"))
	s.Ready(t, "before")
	s.Kubectl.Run(t, "create", "configmap", "kept", "--from-literal=a=b")
	s.Kubectl.Run(t, "create", "configmap", "to-go", "--from-literal=a=b")

	// The store gives its ballast up when the room gets short: fill that too.
	fillers := []string{filepath.Join(c.Dir, "filler-1"), filepath.Join(c.Dir, "filler-2")}
	fill(t, fillers[0], leave)
	s.Kubectl.Try(t, "create", "configmap", "first", "--from-literal=a=b")
	fill(t, fillers[1], leave)
	out := s.Kubectl.Fails(t, []string{"too full for writes", "reads go on", "Free some space"}, "create", "configmap", "refused", "--from-literal=a=b")
	if out.Code != 1 {
		t.Errorf("%s", out)
	}
	if got := s.Kubectl.Run(t, "get", "configmap", "kept", "-o", "jsonpath={.data.a}"); got != "b" {
		t.Errorf("a read on a full disk gives %q", got)
	}
	if got := s.Exec(t, "before", "echo", "alive"); got != "alive\n" {
		t.Errorf("a pod on a full disk: %q", got)
	}
	s.Kubectl.Run(t, "delete", "configmap", "to-go")
	for _, filler := range fillers {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	s.Kubectl.Run(t, "create", "configmap", "accepted", "--from-literal=a=b")
	names, err := s.API.CoreV1().ConfigMaps(s.Name).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range names.Items {
		if m.Name == "refused" || m.Name == "to-go" {
			t.Errorf("there is a ConfigMap %s", m.Name)
		}
	}
	s.Apply(t, sleeper("after"))
	s.Ready(t, "after")
}

// fill takes the room of a file system until only so much is free, in bytes.
func fill(t *testing.T, path string, leave int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	free := int64(st.Bavail) * st.Bsize
	if free <= leave {
		return
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, free-leave); err != nil {
		t.Fatalf("fill the disk: %v", err)
	}
}
