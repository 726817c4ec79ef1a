package webhook_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestDenies(t *testing.T) {
	w := newWorld(t, func(path string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		switch path {
		case "/plain":
			return &admissionv1.AdmissionResponse{}
		case "/teapot":
			return denied(418, "no coffee here")
		}
		out := allow()
		out.Warnings = []string{"think again"}
		return out
	})
	match := func(name string) string {
		return `,"matchConditions":[{"name":"n","expression":"object.metadata.name == '` + name + `'"}]`
	}
	w.configure(t, "Validating", "a",
		w.hook("plain.example.com", "/plain", `"configmaps"`, `"CREATE"`, match("plain")),
		w.hook("teapot.example.com", "/teapot", `"configmaps"`, `"CREATE"`, match("teapot")),
		w.hook("warn.example.com", "/warn", `"configmaps"`, `"CREATE"`, match("warn")))
	if text := w.refused(t, http.MethodPost, configMaps, configMap("plain"), 400); text != `admission webhook "plain.example.com" denied the request without explanation` {
		t.Errorf("refusal is %q", text)
	}
	if text := w.refused(t, http.MethodPost, configMaps, configMap("teapot"), 418); text != `admission webhook "teapot.example.com" denied the request: no coffee here` {
		t.Errorf("refusal is %q", text)
	}
	code, header, _ := w.Do(t, http.MethodPost, configMaps, configMap("warn"), "Content-Type", "application/json")
	if code != http.StatusCreated || header.Get("Warning") != `299 - "think again"` {
		t.Errorf("answer is %d with warning %q", code, header.Get("Warning"))
	}
	w.Must(t, http.MethodPost, configMaps, configMap("other"), http.StatusCreated)
	if n := len(w.requests()); n != 3 {
		t.Errorf("%d questions, want three: none about what no condition matches", n)
	}
}

func TestBadAnswers(t *testing.T) {
	const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":%s}`
	for name, c := range map[string]struct{ answer, want string }{
		"garbage":    {"nonsense", "received invalid webhook response"},
		"nothing":    {"", "0-length response with status code: 200"},
		"no answer":  {fmt.Sprintf(review, "null"), "webhook response was absent"},
		"wrong uid":  {fmt.Sprintf(review, `{"uid":"liar","allowed":true}`), `expected response.uid=`},
		"huge":       {strings.Repeat(" ", 9<<20), "the answer is larger than the server accepts"},
		"array":      {"[]", "received invalid webhook response"},
		"deep":       {strings.Repeat(`{"response":`, 100000), "received invalid webhook response"},
		"other kind": {`{"kind":"Pod","apiVersion":"v1"}`, "webhook response was absent"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRawWorld(t, say(c.answer))
			w.configure(t, "Validating", "a", w.hook("a.example.com", "/a", `"configmaps"`, `"CREATE"`, `,"failurePolicy":"Fail"`))
			text := w.refused(t, http.MethodPost, configMaps, configMap("one"), 500)
			if !strings.Contains(text, c.want) || !strings.HasPrefix(text, `Internal error occurred: failed calling webhook "a.example.com": `) {
				t.Errorf("refusal is %q", text)
			}
		})
	}
}

func TestFailurePolicy(t *testing.T) {
	hang := make(chan struct{})
	w := newRawWorld(t, func(_ *world, out http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-hang
			return
		}
		http.Error(out, "out of order", http.StatusInternalServerError)
	})
	defer close(hang)
	for _, policy := range []string{"Fail", "Ignore"} {
		for _, kind := range []string{"Mutating", "Validating"} {
			name := strings.ToLower(policy + "-" + kind)
			extra := fmt.Sprintf(`,"failurePolicy":%q,"timeoutSeconds":1,"objectSelector":{"matchLabels":{"on":%q}}`, policy, name)
			w.configure(t, kind, name, w.hook("a.example.com", "/a", `"configmaps"`, `"CREATE"`, extra), w.hook("h.example.com", "/hang", `"secrets"`, `"CREATE"`, extra))
			body := fmt.Sprintf(`{"metadata":{"name":%q,"labels":{"on":%q}}}`, name, name)
			if policy == "Ignore" {
				w.Must(t, http.MethodPost, configMaps, body, http.StatusCreated)
				if kind == "Mutating" {
					continue
				}
				w.Must(t, http.MethodPost, "/api/v1/namespaces/default/secrets", body, http.StatusCreated)
				continue
			}
			if text := w.refused(t, http.MethodPost, configMaps, body, 500); !strings.Contains(text, `failed to call webhook: an error on the server ("out of order") has prevented the request from succeeding`) {
				t.Errorf("refusal is %q", text)
			}
			if kind == "Mutating" {
				continue
			}
			if text := w.refused(t, http.MethodPost, "/api/v1/namespaces/default/secrets", body, 500); !strings.Contains(text, "context deadline exceeded") || !strings.Contains(text, "?timeout=1s") {
				t.Errorf("refusal is %q", text)
			}
		}
	}
}

func TestDryRunNeedsHarmlessWebhooks(t *testing.T) {
	w := newWorld(t, func(_ string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if req.DryRun == nil || !*req.DryRun {
			t.Errorf("the webhook is not told of the dry run")
		}
		return allow()
	})
	hook := strings.Replace(w.hook("a.example.com", "/a", `"configmaps"`, `"CREATE"`, ""), `"sideEffects":"None"`, `"sideEffects":"NoneOnDryRun"`, 1)
	w.configure(t, "Validating", "a", hook)
	w.Must(t, http.MethodPost, configMaps+"?dryRun=All", configMap("one"), http.StatusCreated)
	if n := len(w.requests()); n != 1 {
		t.Errorf("%d questions", n)
	}
}

func TestWhatIsAsked(t *testing.T) {
	w := newWorld(t, func(_ string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse { return allow() })
	w.configure(t, "Validating", "a", w.hook("a.example.com", "/a", `"*/*"`, `"*"`, ""))
	w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	w.Must(t, http.MethodPost, configMaps, configMap("two"), http.StatusCreated)
	w.Must(t, http.MethodDelete, configMaps+"/one", "", http.StatusOK)
	w.Must(t, http.MethodDelete, configMaps, "", http.StatusOK)
	w.Must(t, http.MethodPost, "/api/v1/namespaces", `{"metadata":{"name":"n"}}`, http.StatusCreated)
	w.Must(t, http.MethodPost, "/api/v1/namespaces/default/serviceaccounts", `{"metadata":{"name":"s"}}`, http.StatusCreated)
	w.Must(t, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", `{"spec":{"nonResourceAttributes":{"path":"/","verb":"get"}}}`, http.StatusMethodNotAllowed)
	w.Must(t, http.MethodDelete, configurations+"validatingwebhookconfigurations/a", "", http.StatusOK)
	var got []string
	for _, q := range w.requests() {
		got = append(got, fmt.Sprintf("%s %s %s/%s", q.Operation, q.Resource.Resource, q.Namespace, q.Name))
	}
	want := []string{"CREATE configmaps default/one", "CREATE configmaps default/two", "DELETE configmaps default/one", "DELETE configmaps default/two",
		"CREATE namespaces n/n", "CREATE serviceaccounts default/s"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked about\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEquivalentVersions(t *testing.T) {
	w := newWorld(t, func(_ string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return denied(403, req.Kind.Group)
	})
	rule := `"rules":[{"apiGroups":["events.k8s.io"],"apiVersions":["v1"],"resources":["events"],"operations":["CREATE"]}]`
	hook := func(policy string) string {
		h := w.hook(strings.ToLower(policy)+".example.com", "/a", `"events"`, `"CREATE"`, `,"matchPolicy":"`+policy+`"`)
		return h[:strings.Index(h, `"rules"`)] + rule + h[strings.Index(h, `,"matchPolicy"`):]
	}
	const event = `{"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","namespace":"default","name":"p"},"reason":"r","type":"Normal","message":"m"}`
	w.configure(t, "Validating", "exact", hook("Exact"))
	w.Must(t, http.MethodPost, "/api/v1/namespaces/default/events", event, http.StatusCreated)
	w.configure(t, "Validating", "equivalent", hook("Equivalent"))
	text := w.refused(t, http.MethodPost, "/api/v1/namespaces/default/events", strings.Replace(event, `"e"`, `"e2"`, 1), 403)
	if text != `admission webhook "equivalent.example.com" denied the request: events.k8s.io` {
		t.Errorf("refusal is %q", text)
	}
	q := w.requests()
	if len(q) != 1 || q[0].RequestKind.Group != "" || !strings.Contains(string(q[0].Object.Raw), `"regarding"`) {
		t.Errorf("questions are %+v", q)
	}
}

func TestNamespaceSelector(t *testing.T) {
	w := newWorld(t, func(string, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse { return denied(403, "no") })
	w.configure(t, "Validating", "a", w.hook("a.example.com", "/a", `"configmaps","namespaces"`, `"CREATE"`, `,"namespaceSelector":{"matchLabels":{"guarded":"yes"}}`))
	w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	w.Must(t, http.MethodPost, "/api/v1/namespaces", `{"metadata":{"name":"open"}}`, http.StatusCreated)
	w.refused(t, http.MethodPost, "/api/v1/namespaces", `{"metadata":{"name":"n","labels":{"guarded":"yes"}}}`, 403)
	w.Must(t, http.MethodPatch, "/api/v1/namespaces/open", `{"metadata":{"labels":{"guarded":"yes"}}}`, http.StatusOK, "Content-Type", "application/merge-patch+json")
	w.refused(t, http.MethodPost, "/api/v1/namespaces/open/configmaps", configMap("one"), 403)
}

// A validating webhook is asked about the object that is then stored, identity
// and all: controllers find it by the uid that their webhook saw.
func TestTheQuestionIsAboutWhatIsStored(t *testing.T) {
	w := newWorld(t, func(string, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse { return allow() })
	w.configure(t, "Validating", "a", w.hook("a.example.com", "/a", `"configmaps"`, `"CREATE"`, ""))
	stored := w.Must(t, http.MethodPost, configMaps, `{"metadata":{"generateName":"one-"}}`, http.StatusCreated)
	asked := &unstructured.Unstructured{}
	if err := asked.UnmarshalJSON(w.requests()[0].Object.Raw); err != nil {
		t.Fatal(err)
	}
	stored.SetResourceVersion("")
	if diff := cmp.Diff(asked.Object, stored.Object); diff != "" || asked.GetUID() == "" {
		t.Error(diff)
	}
}
