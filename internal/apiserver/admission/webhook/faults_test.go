package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	secrets = "/api/v1/namespaces/default/secrets"
	leases  = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
)

// empty is an object without anything in it.
func empty(name string) string { return fmt.Sprintf(`{"metadata":{"name":%q}}`, name) }

// Writes that wait for a webhook which hangs hold up nobody else's.
func TestHangingWebhooksHoldUpTheirWritesOnly(t *testing.T) {
	release, waiting := make(chan struct{}), make(chan struct{})
	const held = 30
	var arrived atomic.Int32
	w := newRawWorld(t, func(_ *world, out http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
			return
		}
		if arrived.Add(1) == held {
			close(waiting)
		}
		<-release
		review.Response = allow()
		review.Response.UID, review.Request = review.Request.UID, nil
		_ = json.NewEncoder(out).Encode(review)
	})
	w.configure(t, "Validating", "a", w.hook("a.example.com", "/a", `"secrets"`, `"CREATE"`, `,"timeoutSeconds":30`))
	var writes sync.WaitGroup
	for i := range held {
		writes.Go(func() {
			if code, _, body := w.Do(t, http.MethodPost, secrets, empty(fmt.Sprintf("held-%d", i)), "Content-Type", "application/json"); code != http.StatusCreated {
				t.Errorf("a write that waited: %d %s", code, body)
			}
		})
	}
	select {
	case <-waiting:
	case <-time.After(time.Minute):
		close(release)
		t.Fatalf("only %d questions arrive", arrived.Load())
	}
	w.Must(t, http.MethodPost, configMaps, configMap("free"), http.StatusCreated)
	w.Must(t, http.MethodPost, leases, `{"metadata":{"name":"free"},"spec":{"holderIdentity":"me"}}`, http.StatusCreated)
	w.Must(t, http.MethodGet, secrets, "", http.StatusOK)
	close(release)
	writes.Wait()
}

// A create that waits for a webhook while its namespace goes stores nothing
// behind it.
func TestACreateUnderWayEndsWithItsNamespace(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{}, 10)
	w := newWorld(t, func(string, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		asked <- struct{}{}
		<-release
		return allow()
	})
	t.Cleanup(func() { close(release) })
	const namespaces = "/api/v1/namespaces"
	for kind, ends := range map[string]int{"Mutating": http.StatusForbidden, "Validating": http.StatusNotFound} {
		name := strings.ToLower(kind)
		w.Must(t, http.MethodPost, namespaces, empty(name), http.StatusCreated)
		w.configure(t, kind, "a", w.hook("a.example.com", "/a", `"secrets"`, `"CREATE"`, `,"timeoutSeconds":30`))
		answered := make(chan int, 1)
		go func() {
			code, _, _ := w.Do(t, http.MethodPost, namespaces+"/"+name+"/secrets", empty("late"), "Content-Type", "application/json")
			answered <- code
		}()
		<-asked
		gone := w.Must(t, http.MethodDelete, namespaces+"/"+name, "", http.StatusOK)
		if ends == http.StatusNotFound {
			unstructured.RemoveNestedField(gone.Object, "spec", "finalizers")
			body, err := gone.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			w.Must(t, http.MethodPut, namespaces+"/"+name+"/finalize", string(body), http.StatusOK)
		}
		release <- struct{}{}
		if code := <-answered; code != ends {
			t.Errorf("%s: the create is answered %d, want %d", kind, code, ends)
		}
		w.Must(t, http.MethodDelete, configurations+name+"webhookconfigurations/a", "", http.StatusOK)
	}
}

// Two webhooks that undo each other's work are each asked twice at most.
func TestQuarrellingWebhooksAreAskedTwice(t *testing.T) {
	w := newWorld(t, func(path string, _ *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return patched(fmt.Sprintf(`[{"op":"add","path":"/data/mine","value":%q}]`, path))
	})
	again := `,"reinvocationPolicy":"IfNeeded"`
	w.configure(t, "Mutating", "a",
		w.hook("x.example.com", "/x", `"configmaps"`, `"*"`, again), w.hook("y.example.com", "/y", `"configmaps"`, `"*"`, again))
	w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	if n := len(w.requests()); n > 4 {
		t.Errorf("%d questions about one write", n)
	}
}

// A webhook that makes the write which it is asked about goes round in a
// circle until the first question's time is over. Then all is as before.
func TestAWebhookThatAsksForItsOwnWrites(t *testing.T) {
	var rounds atomic.Int32
	w := newRawWorld(t, func(w *world, out http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is seen
		again, err := http.NewRequestWithContext(r.Context(), http.MethodPost, w.URL+secrets, strings.NewReader(empty(fmt.Sprintf("round-%d", rounds.Add(1)))))
		if err != nil {
			t.Error(err)
			return
		}
		again.Header.Set("Content-Type", "application/json")
		again.Header.Set("Authorization", "Bearer admin,system:masters")
		if answer, err := http.DefaultClient.Do(again); err == nil {
			_ = answer.Body.Close()
		}
		http.Error(out, "dizzy", http.StatusInternalServerError)
	})
	w.configure(t, "Validating", "a", w.hook("a.example.com", "/a", `"secrets"`, `"CREATE"`, `,"timeoutSeconds":1`))
	w.refused(t, http.MethodPost, secrets, empty("first"), http.StatusInternalServerError)
	w.Must(t, http.MethodPost, configMaps, configMap("free"), http.StatusCreated)
	t.Logf("%d rounds", rounds.Load())
}

// Custom resources are judged and changed as built-in ones are; what a webhook
// adds and the schema does not know is pruned.
func TestWebhooksOnCustomResources(t *testing.T) {
	w := newWorld(t, func(path string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if path == "/mutate" {
			return patched(`[{"op":"add","path":"/spec/color","value":"blue"},{"op":"add","path":"/spec/unknown","value":"x"}]`)
		}
		if strings.Contains(string(req.Object.Raw), `"size":13`) {
			return denied(403, "unlucky")
		}
		return allow()
	})
	w.ServeCustom(t)
	w.Must(t, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", boats, http.StatusCreated)
	w.configure(t, "Mutating", "a", w.hook("m.example.com", "/mutate", `"boats"`, `"CREATE"`, ""))
	w.configure(t, "Validating", "a", w.hook("v.example.com", "/validate", `"boats","boats/status"`, `"CREATE","UPDATE"`, ""))
	const path = "/apis/example.com/v1/namespaces/default/boats"
	w.AwaitServed(t, path)
	got := w.Must(t, http.MethodPost, path, `{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"a"},"spec":{"size":1}}`, http.StatusCreated)
	if spec := fmt.Sprint(got.Object["spec"]); spec != "map[color:blue size:1]" {
		t.Errorf("spec is %s", spec)
	}
	text := w.refused(t, http.MethodPost, path, `{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"b"},"spec":{"size":13}}`, 403)
	if !strings.Contains(text, `admission webhook "v.example.com" denied the request: unlucky`) {
		t.Errorf("refusal is %q", text)
	}
	w.refused(t, http.MethodPatch, path+"/a", `{"spec":{"size":13}}`, 403, "Content-Type", "application/merge-patch+json")
	w.Must(t, http.MethodPatch, path+"/a/status", `{"status":{"afloat":true}}`, http.StatusOK, "Content-Type", "application/merge-patch+json")
	last := w.requests()[len(w.requests())-1]
	if last.SubResource != "status" || last.Kind.Kind != "Boat" || !strings.Contains(string(last.Object.Raw), `"afloat":true`) {
		t.Errorf("the last question is %+v", last)
	}
}

const boats = `{"metadata":{"name":"boats.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"boats","kind":"Boat"},
	"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},"schema":{"openAPIV3Schema":{"type":"object","properties":{
	"spec":{"type":"object","properties":{"size":{"type":"integer"},"color":{"type":"string"}}},
	"status":{"type":"object","properties":{"afloat":{"type":"boolean"}}}}}}}]}}`
