package encryption

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// home is a data directory that servers are started on, one after the other.
type home struct {
	t     *testing.T
	dir   string
	kinds *catalog.Catalog
}

// running is a server's memory.
type running struct {
	keys    *Keys
	objects *cache.Cache
	stop    func()
}

func newHome(t *testing.T) *home { return &home{t: t, dir: t.TempDir(), kinds: catalog.New()} }

func (h *home) file() string { return filepath.Join(h.dir, "encryption.yaml") }

func (h *home) open(sealed bool) (*running, error) {
	h.t.Helper()
	ctx := h.t.Context()
	var options cache.Options
	out := &running{}
	if sealed {
		keys, err := Open(ctx, Options{File: h.file(), Make: true})
		if err != nil {
			return nil, err
		}
		out.keys, options.Seals = keys, keys.Of
	}
	st, err := disk.Open(ctx, disk.Options{Dir: filepath.Join(h.dir, "store")})
	if err != nil {
		return nil, err
	}
	if out.objects, err = cache.Open(ctx, st, h.kinds.Kinds(), options); err != nil {
		_ = st.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if out.keys != nil {
			_ = out.keys.Run(ctx, out.objects)
		}
	}()
	stopped := false
	out.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-ended
		out.objects.Close()
		if err := st.Close(); err != nil {
			h.t.Error(err)
		}
		if out.keys != nil {
			out.keys.Close()
		}
	}
	h.t.Cleanup(out.stop)
	return out, nil
}

func (h *home) start(sealed bool) *running {
	h.t.Helper()
	r, err := h.open(sealed)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *home) write(content string) {
	h.t.Helper()
	if err := replace(h.file(), []byte(content)); err != nil {
		h.t.Fatal(err)
	}
}

// onDisk tells whether any file of the store holds the text.
func (h *home) onDisk(text string) bool {
	h.t.Helper()
	found := false
	err := filepath.WalkDir(filepath.Join(h.dir, "store"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, []byte(text))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

func (r *running) resource(h *home, obj api.Object) *cache.Resource {
	return r.objects.Of(h.kinds.TypeOf(obj))
}

func (h *home) create(r *running, obj api.Object) {
	h.t.Helper()
	if _, err := r.resource(h, obj).Create(h.t.Context(), obj); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) wantSecret(r *running, name, value string) {
	h.t.Helper()
	item, ok := r.resource(h, &corev1.Secret{}).Get("ns", name)
	if !ok {
		h.t.Fatalf("the secret %s is not there", name)
	}
	if got := string(item.Object.(*corev1.Secret).Data["password"]); got != value {
		h.t.Errorf("the secret %s holds %q, want %q", name, got, value)
	}
}

func (h *home) waitStatus(r *running, what string, ok func(Status) bool) Status {
	h.t.Helper()
	var s Status
	await.Success(h.t, time.Minute, what, func() error {
		if s = r.keys.Status(); !ok(s) {
			return fmt.Errorf("the status is %+v", s)
		}
		return nil
	})
	return s
}

func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func secret(name, value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Data: map[string][]byte{"password": []byte(value)}}
}

func TestNoSecretLiesOnDisk(t *testing.T) {
	h := newHome(t)
	r := h.start(true)
	hidden, open := random(), random()
	h.create(r, secret("one", hidden))
	h.create(r, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "one"}, Data: map[string]string{"k": open}})
	r.stop()
	if h.onDisk(hidden) {
		t.Error("the secret's value lies in a file of the store")
	}
	if !h.onDisk(open) {
		t.Error("the config map's value was not found: this test would not see a secret either")
	}
	info, err := os.Stat(h.file())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v %v, want mode 0600", info.Mode(), err)
	}
	again := h.start(true)
	h.wantSecret(again, "one", hidden)
}

func TestFirstStartEncryptsWhatIsThere(t *testing.T) {
	h := newHome(t)
	r := h.start(false)
	value := random()
	for i := range 600 { // more than a page
		h.create(r, secret(fmt.Sprintf("s%03d", i), value))
	}
	r.stop()
	r = h.start(true)
	s := h.waitStatus(r, "everything is encrypted", func(s Status) bool { return s.Current })
	if s.Rewritten != 600 {
		t.Errorf("%d objects were written again, want 600", s.Rewritten)
	}
	h.wantSecret(r, "s599", value)
	r.stop()
	r = h.start(true)
	if s := h.waitStatus(r, "it was looked through", func(s Status) bool { return s.Current }); s.Rewritten != 0 {
		t.Errorf("the next start wrote %d objects again", s.Rewritten)
	}
}

func TestRotation(t *testing.T) {
	h := newHome(t)
	r := h.start(true)
	value := random()
	h.create(r, secret("one", value))
	h.waitStatus(r, "the first look", func(s Status) bool { return s.Current })
	name, err := Rotate(h.file())
	if err != nil {
		t.Fatal(err)
	}
	h.waitStatus(r, "the secret has the new key", func(s Status) bool { return s.Current && s.Rewritten == 1 })
	if err := Prune(h.file()); err != nil {
		t.Fatal(err)
	}
	h.waitStatus(r, "the old key is gone", func(s Status) bool { return s.Current && s.Rewritten == 0 })
	h.wantSecret(r, "one", value)
	r.stop()
	if content, err := os.ReadFile(h.file()); err != nil || strings.Count(string(content), "secret:") != 1 || !strings.Contains(string(content), name) {
		t.Errorf("the file has other keys than %s: %v", name, err)
	}
	r = h.start(true) // its history holds values of the old key
	h.wantSecret(r, "one", value)
}

func TestMissingKeyLosesNothing(t *testing.T) {
	h := newHome(t)
	r := h.start(true)
	value := random()
	h.create(r, secret("one", value))
	r.stop()
	kept, err := os.ReadFile(h.file())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"another key":  configuration(newKey()),
		"no key":       "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - identity: {}\n",
		"no rule":      "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [configmaps]\n  providers:\n  - identity: {}\n",
		"same name":    strings.ReplaceAll(string(kept), secretOf(kept), newKey().secret),
		"not strict":   string(kept) + "extra: field\n",
		"no key at al": strings.ReplaceAll(string(kept), secretOf(kept), "c2hvcnQ="),
	} {
		h.write(content)
		_, err := h.open(true)
		if err == nil {
			t.Fatalf("%s: the server started", name)
		}
		if strings.Contains(err.Error(), secretOf(kept)) {
			t.Errorf("%s: the error tells the key", name)
		}
		t.Logf("%s: %v", name, err)
	}
	h.write(string(kept))
	h.wantSecret(h.start(true), "one", value)
}

func secretOf(content []byte) string {
	_, rest, _ := strings.Cut(string(content), "secret: ")
	out, _, _ := strings.Cut(rest, "}")
	return out
}

func TestUnusableConfigurationIsRefusedWhileRunning(t *testing.T) {
	h := newHome(t)
	r := h.start(true)
	value := random()
	h.create(r, secret("one", value))
	h.waitStatus(r, "the first look", func(s Status) bool { return s.Current })
	kept, err := os.ReadFile(h.file())
	if err != nil {
		t.Fatal(err)
	}
	h.write(configuration(newKey()))
	s := h.waitStatus(r, "the file is refused", func(s Status) bool { return s.Error != "" })
	if !strings.Contains(s.Error, "cannot read what is stored") {
		t.Errorf("the reason is %q", s.Error)
	}
	h.create(r, secret("two", value)) // with the key in use
	h.write(string(kept))
	h.waitStatus(r, "the file is good again", func(s Status) bool { return s.Current })
	h.wantSecret(r, "two", value)
}

func TestProviders(t *testing.T) {
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: ['*.*']\n  providers:\n"
	k := newKey()
	list := "keys: [{name: a, secret: " + k.secret + "}]"
	h := newHome(t)
	value := random()
	h.write(head + "  - identity: {}\n")
	r := h.start(true)
	h.create(r, secret("one", value))
	h.waitStatus(r, "the first look", func(s Status) bool { return s.Current })
	before := ""
	// Each step counts from its own file on: the status of the one before
	// looks the same.
	generation := 1
	rewritten := func(s Status) bool { return s.Generation == generation && s.Current && s.Rewritten == 1 }
	for _, provider := range []string{"aescbc", "secretbox", "aesgcm"} {
		now := "  - " + provider + ": {" + list + "}\n"
		generation++
		h.write(head + now + before + "  - identity: {}\n")
		h.waitStatus(r, provider, rewritten)
		before = now
	}
	// The way back: everything is written unencrypted, then the rule may go.
	generation++
	h.write(head + "  - identity: {}\n" + before)
	h.waitStatus(r, "identity", rewritten)
	r.stop()
	r = h.start(false)
	h.wantSecret(r, "one", value)
}
