package webhook_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func data(t *testing.T, obj *unstructured.Unstructured) map[string]string {
	t.Helper()
	out, _, err := unstructured.NestedStringMap(obj.Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMutatesInOrderOfNames(t *testing.T) {
	w := newWorld(t, func(path string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return patched(`[{"op":"add","path":"/data/last","value":"` + path + `"},{"op":"add","path":"/data/` + path[1:] + `","value":"x"}]`)
	})
	w.configure(t, "Mutating", "b", w.hook("b.example.com", "/b", `"configmaps"`, `"*"`, ""))
	w.configure(t, "Mutating", "a", w.hook("a1.example.com", "/a1", `"configmaps"`, `"*"`, ""), w.hook("a2.example.com", "/a2", `"configmaps"`, `"*"`, ""))
	got := w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	want := map[string]string{"a": "1", "a1": "x", "a2": "x", "b": "x", "last": "/b"}
	if diff := cmp.Diff(want, data(t, got)); diff != "" {
		t.Error(diff)
	}
	stored := w.Must(t, http.MethodGet, configMaps+"/one", "", http.StatusOK)
	if diff := cmp.Diff(want, data(t, stored)); diff != "" {
		t.Error("stored:", diff)
	}
}

func TestQuestionHoldsTheWrite(t *testing.T) {
	w := newWorld(t, func(string, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse { return allow() })
	w.configure(t, "Mutating", "a", w.hook("a.example.com", "/a", `"configmaps"`, `"UPDATE"`, ""))
	w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	w.Must(t, http.MethodPatch, configMaps+"/one?fieldManager=me", `{"data":{"b":"2"}}`, http.StatusOK, "Content-Type", "application/merge-patch+json")
	seen := w.requests()
	if len(seen) != 1 {
		t.Fatalf("%d questions, want one", len(seen))
	}
	q := seen[0]
	if q.Name != "one" || q.Namespace != "default" || q.Operation != admissionv1.Update || q.UserInfo.Username != "admin" || *q.DryRun {
		t.Errorf("question is %+v", q)
	}
	for _, want := range []string{`"kind":"ConfigMap"`, `"apiVersion":"v1"`, `"b":"2"`} {
		if !strings.Contains(string(q.Object.Raw), want) {
			t.Errorf("object has no %s: %s", want, q.Object.Raw)
		}
	}
	if old := string(q.OldObject.Raw); strings.Contains(old, `"b":"2"`) || !strings.Contains(old, `"kind":"ConfigMap"`) {
		t.Errorf("old object is %s", old)
	}
	if want := `{"kind":"UpdateOptions","apiVersion":"meta.k8s.io/v1","fieldManager":"me"}`; string(q.Options.Raw) != want {
		t.Errorf("options are %s", q.Options.Raw)
	}
}

func TestRunsAgainWhereALaterOneChanged(t *testing.T) {
	w := newWorld(t, func(path string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		key := path[1:]
		if strings.Contains(string(req.Object.Raw), `"`+key+`":"1"`) {
			return patched(`[{"op":"replace","path":"/data/` + key + `","value":"2"}]`)
		}
		if strings.Contains(string(req.Object.Raw), `"`+key+`":"2"`) {
			return allow()
		}
		return patched(`[{"op":"add","path":"/data/` + key + `","value":"1"}]`)
	})
	again := `,"reinvocationPolicy":"IfNeeded"`
	w.configure(t, "Mutating", "a",
		w.hook("x.example.com", "/x", `"configmaps"`, `"*"`, again),
		w.hook("y.example.com", "/y", `"configmaps"`, `"*"`, ""),
		w.hook("z.example.com", "/z", `"configmaps"`, `"*"`, again))
	got := w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	want := map[string]string{"a": "1", "x": "2", "y": "1", "z": "2"}
	if diff := cmp.Diff(want, data(t, got)); diff != "" {
		t.Error(diff)
	}
}

func TestPatchesWhatItMayNot(t *testing.T) {
	for name, c := range map[string]struct {
		patch string
		code  int
		want  string
	}{
		"path that is not there": {`[{"op":"remove","path":"/data/nothing"}]`, 500, "Internal error occurred"},
		"another namespace":      {`[{"op":"replace","path":"/metadata/namespace","value":"kube-system"}]`, 400, "the namespace of the provided object does not match"},
		"another kind":           {`[{"op":"replace","path":"/kind","value":"Secret"}]`, 500, "Internal error occurred"},
		"wrong type":             {`[{"op":"replace","path":"/data","value":7}]`, 500, "Internal error occurred"},
		"no patch":               {`nonsense`, 500, "received undecodable patch"},
		"invalid object":         {`[{"op":"add","path":"/data/a b","value":"x"}]`, 422, "a valid config key"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(string, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse { return patched(c.patch) })
			w.configure(t, "Mutating", "a", w.hook("a.example.com", "/a", `"configmaps"`, `"*"`, ""))
			if text := w.refused(t, http.MethodPost, configMaps, configMap("one"), c.code); !strings.Contains(text, c.want) {
				t.Errorf("refusal is %q", text)
			}
		})
	}
}

func TestManagedFieldsSurviveAWebhook(t *testing.T) {
	w := newWorld(t, func(string, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return patched(`[{"op":"replace","path":"/metadata/managedFields/0/fieldsType","value":"bad"}]`)
	})
	w.configure(t, "Mutating", "a", w.hook("a.example.com", "/a", `"configmaps"`, `"*"`, ""))
	got := w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	if entries := got.GetManagedFields(); len(entries) != 1 || entries[0].FieldsType != "FieldsV1" {
		t.Errorf("managed fields are %v", entries)
	}
}

func TestScaleIsShownAsScale(t *testing.T) {
	w := newWorld(t, func(_ string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return patched(`[{"op":"replace","path":"/spec/replicas","value":7}]`)
	})
	const at = "/apis/apps/v1/namespaces/default/deployments"
	w.Must(t, http.MethodPost, at, `{"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
		"spec":{"containers":[{"name":"c","image":"i"}]}}}}`, http.StatusCreated)
	w.configure(t, "Mutating", "a", w.hook("a.example.com", "/a", `"deployments/scale"`, `"*"`, ""))
	w.Must(t, http.MethodPatch, at+"/d/scale", `{"spec":{"replicas":3}}`, http.StatusOK, "Content-Type", "application/merge-patch+json")
	got := w.Must(t, http.MethodGet, at+"/d", "", http.StatusOK)
	if n, _, _ := unstructured.NestedFloat64(got.Object, "spec", "replicas"); n != 7 {
		t.Errorf("replicas are %v, want what the webhook set", n)
	}
	if q := w.requests(); len(q) != 1 || q[0].Kind.Kind != "Scale" || q[0].SubResource != "scale" || q[0].Resource.Resource != "deployments" {
		t.Errorf("questions are %+v", q)
	}
}
