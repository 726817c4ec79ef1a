package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// serveRegistry runs a registry on the node's loopback address; with a password it asks for it.
func (n *node) serveRegistry(password string) (host string, transport http.RoundTripper) {
	n.t.Helper()
	var ln net.Listener
	n.inNet(func() (err error) { ln, err = net.Listen("tcp", "127.0.0.1:0"); return err })
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); password != "" && got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	n.t.Cleanup(srv.Close)
	return ln.Addr().String(), &http.Transport{Dial: n.dial, DisableKeepAlives: true}
}

func TestPull(t *testing.T) {
	n := newNode(t)
	host, transport := n.serveRegistry("secret")
	ref, err := name.ParseReference(host + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	img := workloadImage(t)
	auth := remote.WithAuth(&authn.Basic{Username: "u", Password: "secret"})
	if err := remote.Write(ref, img, remote.WithTransport(transport), auth); err != nil {
		t.Fatal(err)
	}
	pull := func(image, password string) (string, error) {
		resp, err := n.images.PullImage(n.ctx(), &cri.PullImageRequest{Image: &cri.ImageSpec{Image: image}, Auth: &cri.AuthConfig{Username: "u", Password: password}})
		return resp.GetImageRef(), err
	}
	if _, err := pull(ref.String(), "wrong"); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "who are you") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := pull(host+"/team/app:none", "secret"); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("a missing tag: %v", err)
	}
	if _, err := pull("127.0.0.1:1/app:1", ""); status.Code(err) != codes.Unavailable {
		t.Errorf("no registry: %v", err)
	}
	if _, err := pull("Not A Name", ""); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no name: %v", err)
	}
	id, err := pull(ref.String(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{ref.String(), host + "/team/app@" + digest.String(), id, id[7:20]} {
		resp, err := n.images.ImageStatus(n.ctx(), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: by}})
		if err != nil || resp.GetImage().GetId() != id {
			t.Errorf("%s: %v, %v", by, resp, err)
		}
	}
	p := n.runPod("pulled", nil)
	if st := n.ended(p.run("main", []string{"exit", "6"}, func(c *cri.ContainerConfig) { c.Image.Image = id })); st.GetExitCode() != 6 {
		t.Errorf("a pulled image: %v", st)
	}
	n.must(n.images.RemoveImage(n.ctx(), &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: id}}))
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
}

// imagesOnDisk counts what the image store holds.
func (n *node) imagesOnDisk() string {
	n.t.Helper()
	count := func(dir string) int {
		entries, err := os.ReadDir(filepath.Join(n.root, "images", dir))
		if err != nil {
			n.t.Fatal(err)
		}
		return len(entries)
	}
	return fmt.Sprintf("%d images, %d blobs, %d being written, %d layers", count("images"), count("blobs/sha256"), count("blobs/ingest"), count("layers"))
}

const nothing = "0 images, 0 blobs, 0 being written, 0 layers"

func TestImportAndRemove(t *testing.T) {
	n := newNode(t)
	docker := archive(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(docker); err != nil {
		t.Fatal(err)
	}
	z.Close()
	for _, tc := range []struct {
		name, query, want string
		body              []byte
	}{
		{"docker", "", imageName, docker},
		{"docker, packed", "", imageName, packed.Bytes()},
		{"another name", "?name=my/own:2", "docker.io/my/own:2", docker},
		{"OCI layout", "?name=localhost:5000/oci", "localhost:5000/oci:latest", ociArchive(t)},
	} {
		code, body := n.admin("POST", "/v1/images/import"+tc.query, bytes.NewReader(tc.body))
		var got []struct {
			ID    string
			Names []string
		}
		if err := json.Unmarshal(body, &got); err != nil || code != 200 || len(got) != 1 || !strings.Contains(strings.Join(got[0].Names, " "), tc.want) {
			t.Errorf("%s: %d %s", tc.name, code, body)
		}
	}
	code, exported := n.admin("GET", "/v1/images/export?name=workload:test", nil)
	if code != 200 {
		t.Fatalf("export: %d %s", code, exported)
	}
	_, list := n.admin("GET", "/v1/images", nil)
	for _, name := range []string{"workload:test", "my/own:2", "localhost:5000/oci"} {
		if code, body := n.admin("DELETE", "/v1/images?name="+name, nil); code != 200 {
			t.Errorf("remove %s: %d %s\n%s", name, code, body, list)
		}
	}
	if got := n.imagesOnDisk(); got != nothing {
		t.Errorf("left: %s", got)
	}
	if code, body := n.admin("POST", "/v1/images/import", bytes.NewReader(exported)); code != 200 {
		t.Errorf("import what was exported: %d %s", code, body)
	}
	if code, _ := n.admin("DELETE", "/v1/images?name=none", nil); code != 404 {
		t.Errorf("remove what is not there: %d", code)
	}
}

func TestCorruptArchivesLeaveNothing(t *testing.T) {
	n := newNode(t)
	good := archive(t)
	noise := make([]byte, 1<<16)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	for i := len(flipped) / 2; i < len(flipped)/2+64; i++ {
		flipped[i] ^= 0xff
	}
	for name, body := range map[string][]byte{
		"empty": {}, "noise": noise, "cut": good[:len(good)/2], "flipped": flipped,
		"gzip cut": append([]byte{0x1f, 0x8b, 8, 0}, noise[:100]...),
		"no layer": rewrite(t, good, func(h *tar.Header) bool { return !strings.HasSuffix(h.Name, ".tar.gz") }),
		"no image": rewrite(t, good, func(h *tar.Header) bool { return h.Name != "manifest.json" }),
	} {
		code, answer := n.admin("POST", "/v1/images/import", bytes.NewReader(body))
		if code != 400 || !strings.Contains(string(answer), "archive") {
			t.Errorf("%s: %d %s", name, code, answer)
		}
		if got := n.imagesOnDisk(); got != nothing {
			t.Errorf("%s leaves %s", name, got)
		}
	}
}

// rewrite copies the members of an archive that keep wants.
func rewrite(t *testing.T, in []byte, keep func(*tar.Header) bool) []byte {
	t.Helper()
	var out bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(in)), tar.NewWriter(&out)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !keep(h) {
			continue
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, r); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return out.Bytes()
}

// ociArchive is the workload's image as an OCI layout.
func ociArchive(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(workloadImage(t)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return out.Bytes()
}
