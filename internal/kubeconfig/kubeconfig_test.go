package kubeconfig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

var entry = Entry{Name: "knarr", Server: "https://192.0.2.7:6443", CA: []byte("ca"), Certificate: []byte("cert"), Key: []byte("key")}

const mine = `# my clusters
apiVersion: v1
kind: Config
clusters:
- name: work
  cluster:
    server: https://work.example.org
    proxy-url: http://proxy # reached through the proxy
contexts:
- name: work
  context: {cluster: work, user: me, namespace: team}
users:
- name: me
  user:
    token: "0123"
    x-vendor: {keep: true}
current-context: work
x-top: [1, 2]
`

func at(path string) Target { return Target{Path: path, UID: -1, GID: -1} }

func write(t *testing.T, content string) Target {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return at(path)
}

func load(t *testing.T, target Target) *clientcmdapi.Config {
	t.Helper()
	c, err := clientcmd.LoadFromFile(target.Path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func merge(t *testing.T, target Target) {
	t.Helper()
	if err := Merge(t.Context(), target, entry); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, target Target) {
	t.Helper()
	if err := Remove(t.Context(), target, entry.Name); err != nil {
		t.Fatal(err)
	}
}

func TestMergeIntoNothingAndRemove(t *testing.T) {
	target := at(filepath.Join(t.TempDir(), ".kube", "config"))
	merge(t, target)
	merge(t, target)
	c := load(t, target)
	if c.CurrentContext != "knarr" || c.Clusters["knarr"].Server != entry.Server {
		t.Errorf("merged: %+v", c)
	}
	if got := string(c.AuthInfos["knarr"].ClientKeyData); got != "key" {
		t.Errorf("key %q", got)
	}
	info, err := os.Stat(target.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	remove(t, target)
	if _, err := os.Stat(target.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file of ours alone is left: %v", err)
	}
	remove(t, target)
}

func TestMergeKeepsOthersAndRemoveRestores(t *testing.T) {
	target := write(t, mine)
	before := load(t, target)
	merge(t, target)
	data, err := os.ReadFile(target.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"# my clusters", "# reached through the proxy", "x-vendor: {keep: true}", "x-top: [1, 2]", `token: "0123"`} {
		if !strings.Contains(string(data), kept) {
			t.Errorf("%q is lost", kept)
		}
	}
	if c := load(t, target); c.CurrentContext != "knarr" || c.Contexts["work"].Namespace != "team" {
		t.Errorf("merged: %+v", c)
	}
	if info, _ := os.Stat(target.Path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	merge(t, target)
	remove(t, target)
	if diff := cmp.Diff(before, load(t, target)); diff != "" {
		t.Error(diff)
	}
}

func TestRemoveLeavesAContextChosenSince(t *testing.T) {
	target := write(t, mine)
	merge(t, target)
	c := load(t, target)
	c.Contexts["other"] = &clientcmdapi.Context{Cluster: "work", AuthInfo: "me"}
	c.CurrentContext = "other"
	if err := clientcmd.WriteToFile(*c, target.Path); err != nil { // as kubectl config would
		t.Fatal(err)
	}
	remove(t, target)
	if got := load(t, target); got.CurrentContext != "other" || got.Clusters["knarr"] != nil {
		t.Errorf("after remove: %+v", got)
	}
}

func TestNoteSurvivesKubectl(t *testing.T) {
	target := write(t, mine)
	merge(t, target)
	c := load(t, target)
	c.Contexts["knarr"].Namespace = "demo"
	if err := clientcmd.WriteToFile(*c, target.Path); err != nil {
		t.Fatal(err)
	}
	merge(t, target)
	if got := load(t, target).Contexts["knarr"].Namespace; got != "demo" {
		t.Errorf("the namespace became %q", got)
	}
	remove(t, target)
	if got := load(t, target).CurrentContext; got != "work" {
		t.Errorf("current context is %q", got)
	}
}

func TestForeignEntryIsRefused(t *testing.T) {
	foreign := strings.ReplaceAll(mine, "work", "knarr")
	target := write(t, foreign)
	if err := Merge(t.Context(), target, entry); !errors.Is(err, errTaken) {
		t.Errorf("error %v", err)
	}
	remove(t, target)
	if data, _ := os.ReadFile(target.Path); string(data) != foreign {
		t.Error("the file was touched")
	}
}

func TestCorruptFilesAreLeftAlone(t *testing.T) {
	for name, content := range map[string]string{
		"not yaml": "clusters: [", "a list": "- a\n- b\n", "lists that are none": "clusters: {a: b}\n",
		"wrong type": "current-context: {a: b}\n", "binary": "\x00\x01\x02", "two documents": mine + "---\n" + mine,
	} {
		target := write(t, content)
		err := Merge(t.Context(), target, entry)
		if err == nil || !strings.Contains(err.Error(), target.Path) {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
		if data, _ := os.ReadFile(target.Path); string(data) != content {
			t.Errorf("%s: the file was touched", name)
		}
		if _, err := os.Stat(target.Path + ".lock"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the lock is left", name)
		}
	}
}

func TestEmptyFilesAreFilled(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing yet\n", "apiVersion: v1\nkind: Config\nclusters: null\nusers: []\ncontexts:\npreferences: {}\ncurrent-context: \"\"\n"} {
		target := write(t, content)
		merge(t, target)
		if c := load(t, target); c.CurrentContext != "knarr" || len(c.Contexts) != 1 {
			t.Errorf("%q: %+v", content, c)
		}
		remove(t, target)
		if c := load(t, target); c.CurrentContext != "" || len(c.Contexts) != 0 {
			t.Errorf("%q after remove: %+v", content, c)
		}
	}
}

func TestSymbolicLinksStay(t *testing.T) {
	target := write(t, mine)
	link := at(filepath.Join(t.TempDir(), "config"))
	if err := os.Symlink(target.Path, link.Path); err != nil {
		t.Fatal(err)
	}
	merge(t, link)
	if got, err := os.Readlink(link.Path); err != nil || got != target.Path {
		t.Errorf("the link is gone: %q %v", got, err)
	}
	if load(t, target).CurrentContext != "knarr" {
		t.Error("the file behind the link was not written")
	}
	loop := at(filepath.Join(t.TempDir(), "loop"))
	if err := os.Symlink(loop.Path, loop.Path); err != nil {
		t.Fatal(err)
	}
	if err := Merge(t.Context(), loop, entry); err == nil {
		t.Error("a loop of links was followed")
	}
}

func TestOwnerUnderSudo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: owners cannot be changed here, the rest of the tests covers the writing")
		return
	}
	home := t.TempDir()
	target := Target{Path: filepath.Join(home, ".kube", "config"), Home: home, UID: 12345, GID: 12346}
	merge(t, target)
	for _, path := range []string{target.Path, filepath.Dir(target.Path)} {
		checkOwner(t, path, 12345, 12346)
	}
	outside := write(t, mine)
	link := Target{Path: filepath.Join(home, "link"), Home: home, UID: 12345, GID: 12346}
	if err := os.Symlink(outside.Path, link.Path); err != nil {
		t.Fatal(err)
	}
	merge(t, link)
	checkOwner(t, outside.Path, 0, 0)
}

func TestLocate(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		euid int
		want Target
	}{
		"home":       {map[string]string{"HOME": "/h"}, 1000, Target{Path: "/h/.kube/config", Home: "/h", UID: -1, GID: -1}},
		"KUBECONFIG": {map[string]string{"HOME": "/h", "KUBECONFIG": ":/a:/b"}, 1000, Target{Path: "/a", Home: "/h", UID: -1, GID: -1}},
		"sudo":       {map[string]string{"HOME": "/root", "SUDO_USER": "nobody"}, 0, Target{Path: "/nonexistent/.kube/config", Home: "/nonexistent", UID: 65534, GID: 65534}},
		"sudo root":  {map[string]string{"HOME": "/root", "SUDO_USER": "root"}, 0, Target{Path: "/root/.kube/config", Home: "/root", UID: -1, GID: -1}},
		"not root":   {map[string]string{"HOME": "/h", "SUDO_USER": "nobody"}, 1000, Target{Path: "/h/.kube/config", Home: "/h", UID: -1, GID: -1}},
	} {
		got, err := Locate(func(key string) string { return c.env[key] }, c.euid)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := Locate(func(string) string { return "" }, 1000); err == nil {
		t.Error("no home and no error")
	}
}

func TestHeldLockEndsWithTheContext(t *testing.T) {
	target := write(t, mine)
	if err := os.WriteFile(target.Path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := Merge(ctx, target, entry)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), target.Path+".lock") {
		t.Errorf("error %v", err)
	}
}

// A program that was killed while it held the lock leaves it for good.
func TestLockOfADeadProgramIsTaken(t *testing.T) {
	target := write(t, mine)
	if err := os.WriteFile(target.Path+".lock", nil, 0); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { merge(t, target) })
	if load(t, target).CurrentContext != "knarr" {
		t.Error("nothing was merged")
	}
	if _, err := os.Stat(target.Path + ".lock"); !errors.Is(err, os.ErrNotExist) {
		t.Error("the lock is left")
	}
}

// However long others hold the lock, one after the other, it is not taken from
// them.
func TestLockOfTheLivingIsWaitedFor(t *testing.T) {
	target := write(t, mine)
	name := target.Path + ".lock"
	synctest.Test(t, func(t *testing.T) {
		hold := func(turn int) {
			if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Chtimes(name, time.Time{}, time.Unix(int64(turn), 0))); err != nil {
				t.Error(err)
			}
		}
		hold(0)
		ctx, cancel := context.WithTimeout(t.Context(), 10*staleLock)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- Merge(ctx, target, entry) }()
		for turn := range 15 {
			time.Sleep(staleLock / 2)
			if len(ended) > 0 {
				t.Fatal("the lock was taken, or not waited for")
			}
			hold(turn + 1)
		}
		if err := errors.Join(os.Remove(name), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// What is up to date is not touched, whoever holds the lock: each start of the
// server asks for it, and may be killed meanwhile.
func TestRefreshOfWhatIsUpToDate(t *testing.T) {
	target := write(t, mine)
	merge(t, target)
	if err := os.WriteFile(target.Path+".lock", nil, 0); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Refresh(ended, target, entry); err != nil {
		t.Error(err)
	}
	renewed := entry
	renewed.Certificate = []byte("renewed")
	if err := Refresh(ended, target, renewed); err == nil {
		t.Error("the lock was not asked for")
	}
}

func TestBuild(t *testing.T) {
	data, err := Encode(Build(entry))
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil || config.Host != entry.Server || string(config.CAData) != "ca" {
		t.Errorf("%+v %v", config, err)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(mine))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("clusters: &c []\nusers: *c\ncontexts: *c\n"))
	f.Add([]byte("? {a: b}\n: c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parse(data)
		if err != nil {
			return
		}
		before, err := clientcmd.Load(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.merge(entry, true); err != nil {
			return
		}
		merged, err := doc.encode()
		if err != nil {
			return
		}
		again, err := parse(merged)
		if err != nil {
			t.Fatalf("merged file cannot be read: %v\n%s", err, merged)
		}
		n, ours := again.note(entry.Name)
		if !ours {
			t.Fatalf("no note in\n%s", merged)
		}
		again.remove(entry.Name, n)
		restored, err := again.encode()
		if err != nil {
			t.Fatal(err)
		}
		after, err := clientcmd.Load(restored)
		if err != nil {
			t.Fatalf("restored file cannot be read: %v\n%s", err, restored)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Refresh writes new credentials where Merge wrote, and touches nothing else.
func TestRefresh(t *testing.T) {
	target := write(t, mine)
	merge(t, target)
	c := load(t, target)
	c.CurrentContext = "work"
	if err := clientcmd.WriteToFile(*c, target.Path); err != nil {
		t.Fatal(err)
	}
	renewed := entry
	renewed.Certificate = []byte("renewed")
	if err := Refresh(t.Context(), target, renewed); err != nil {
		t.Fatal(err)
	}
	now := load(t, target)
	if got := string(now.AuthInfos[entry.Name].ClientCertificateData); got != "renewed" || now.CurrentContext != "work" {
		t.Errorf("certificate %q, current context %q", got, now.CurrentContext)
	}
	remove(t, target)
	if err := Refresh(t.Context(), target, renewed); err != nil {
		t.Fatal(err)
	}
	if _, there := load(t, target).AuthInfos[entry.Name]; there {
		t.Error("an entry that was taken out came back")
	}
	gone := at(filepath.Join(t.TempDir(), "none", "config"))
	if err := Refresh(t.Context(), gone, renewed); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(gone.Path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
}
