package openapi

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

// The joined document is made once for each state of its additions, for
// clients with and without gzip, and again when they change.
func TestTheMergedDocumentIsMadeOnce(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var made atomic.Int32
	addition := func(name string) Extra {
		return Extra{Name: "apis/example.com/v1", Tag: name, V2: func() (*spec.Swagger, error) {
			made.Add(1)
			return &spec.Swagger{SwaggerProps: spec.SwaggerProps{
				Paths: &spec.Paths{Paths: map[string]spec.PathItem{"/apis/example.com/v1/" + name: {}}}, Definitions: spec.Definitions{"com.example." + name: {}}}}, nil
		}}
	}
	if err := d.SetExtra("crd", []Extra{addition("widgets")}); err != nil {
		t.Fatal(err)
	}
	for _, coding := range []string{"gzip", "", "gzip"} {
		if body := read(t, d, coding); !strings.Contains(body, "com.example.widgets") || !strings.Contains(body, "io.k8s.api.core.v1.Pod") {
			t.Errorf("coding %q: the document lacks a part", coding)
		}
	}
	if n := made.Load(); n != 1 {
		t.Errorf("the additions are made %d times", n)
	}
	if err := d.SetExtra("crd", []Extra{addition("gadgets")}); err != nil {
		t.Fatal(err)
	}
	if body := read(t, d, "gzip"); strings.Contains(body, "com.example.widgets") || !strings.Contains(body, "com.example.gadgets") {
		t.Error("the document is that of before")
	}
}

func read(t *testing.T, d *Documents, coding string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/openapi/v2", nil)
	r.Header.Set("Accept-Encoding", coding)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	body := io.Reader(w.Body)
	if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != coding {
		t.Fatalf("the answer is %d, coded %q", w.Code, w.Header().Get("Content-Encoding"))
	}
	if coding != "" {
		var err error
		if body, err = gzip.NewReader(w.Body); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
