package zpages

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func component() Component {
	return Component{Name: "kube-apiserver", Version: "v1", Emulates: "1.36", Started: time.Now().Add(-time.Hour),
		Paths: func() []string { return []string{"/livez/ping", "/livez", "/api/v1", "/", "/metrics"} }, Flags: map[string]string{"b": "2", "a": "1"}}
}

func ask(h http.Handler, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestText(t *testing.T) {
	for _, accept := range []string{"", "*/*", "text/plain", "application/json, text/plain"} {
		status := ask(component().Statusz(), accept).Body.String()
		for _, words := range []string{"\nkube-apiserver statusz\n", "Up: 1 hr 00 min", "Paths: /livez /metrics\n", "Emulation version: 1.36"} {
			if !strings.Contains(status, words) {
				t.Errorf("%q: no %q in %s", accept, words, status)
			}
		}
	}
	if flags := ask(component().Flagz(), "").Body.String(); !strings.HasSuffix(flags, "\na=1\nb=2\n") {
		t.Errorf("flagz: %s", flags)
	}
}

func TestObjects(t *testing.T) {
	w := ask(component().Flagz(), "application/json;as=Flagz;v=v1beta1;g=config.k8s.io")
	var got struct {
		Kind, APIVersion string
		Flags            map[string]string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Kind != "Flagz" || got.APIVersion != "config.k8s.io/v1beta1" || got.Flags["a"] != "1" || w.Header().Get("Warning") != "" {
		t.Errorf("%v %s", err, w.Body)
	}
	if w := ask(component().Statusz(), "application/yaml;as=Statusz;v=v1alpha1;g=config.k8s.io"); !strings.Contains(w.Body.String(), "kind: Statusz\n") || w.Header().Get("Warning") == "" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	for _, accept := range []string{"application/json", "application/json;as=Flagz;v=v1beta1;g=config.k8s.io", "image/png", strings.Repeat("a/b,", 2000)} {
		if w := ask(component().Statusz(), accept); w.Code != http.StatusNotAcceptable {
			t.Errorf("%.40q is answered %d", accept, w.Code)
		}
	}
}
