package realtest

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// misbehave is a registry that answers repository by repository in another
// wrong way.
func misbehave(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		manifest, blob := strings.Contains(r.URL.Path, "/manifests/"), strings.Contains(r.URL.Path, "/blobs/")
		switch repository, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/"); {
		case r.Method != http.MethodGet:
			inner.ServeHTTP(w, r)
		case repository == "stalls" && manifest:
			<-r.Context().Done()
		case repository == "stalls-later" && blob:
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case repository == "garbage" && manifest:
			_, _ = io.WriteString(w, "<html>please log in to the hotel</html>")
		case repository == "lies" && blob:
			rec := httptest.NewRecorder()
			inner.ServeHTTP(rec, r)
			body := bytes.Repeat([]byte{'x'}, rec.Body.Len())
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// fill pushes an image for another machine, or for any, to the repository.
func fill(t *testing.T, ref, architecture string) {
	t.Helper()
	img, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	to, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, img); err != nil {
		t.Fatal(err)
	}
}

// says tells whether an event of the pod has the reason and the words.
func (m *machine) says(pod, reason string, words ...string) bool {
	m.t.Helper()
	list, _, err := client.For[*corev1.Event](m.cluster.Admin).List(m.t.Context(), "default", metav1.ListOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range list {
		found := e.Reason == reason && e.InvolvedObject.Name == pod
		for _, w := range words {
			found = found && strings.Contains(e.Message, w)
		}
		if found {
			return true
		}
	}
	return false
}

// Whatever a registry does, the pod that wants its image waits with a reason
// that names it, and others go on.
func TestFaultyRegistries(t *testing.T) {
	m := newMachine(t)
	check := m.neighbour()
	srv := httptest.NewServer(misbehave(registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	cases := map[string][]string{
		"stalls": {"timeout"}, "stalls-later": {"has sent nothing for 2s"}, "garbage": {"invalid"}, "lies": {"verif"},
		"foreign": {"linux/s390x", "this node runs linux/"},
	}
	for repository := range cases {
		architecture := ""
		if repository == "foreign" {
			architecture = "s390x"
		}
		fill(t, host+"/"+repository+"/app:1", architecture)
		m.create(pod(repository, "", func(p *corev1.Pod) { p.Spec.Containers[0].Image = host + "/" + repository + "/app:1" }))
	}
	check()
	for repository, words := range cases {
		m.eventually("the end of the pull from "+repository+" is told", func() bool {
			return m.says(repository, "Failed", append(words, host+"/"+repository)...)
		})
		m.await(repository, "waits for its image", func(p *corev1.Pod) bool {
			if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].State.Waiting == nil {
				return false
			}
			reason := p.Status.ContainerStatuses[0].State.Waiting.Reason
			return reason == "ErrImagePull" || reason == "ImagePullBackOff"
		})
	}
}
