package aggregation_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Requests that an aggregated server does not answer wait for it alone: the
// rest of the API, discovery and the APIService itself answer meanwhile.
func TestAStalledServerHarmsItsOwnGroupOnly(t *testing.T) {
	const held = 30
	release, arrived := make(chan struct{}), make(chan struct{}, held)
	w := newWorld(t, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	w.service(t)
	w.register(t, `"insecureSkipTLSVerify":true`)
	w.await(t, "True", "Passed")
	var waiting sync.WaitGroup
	for range held {
		waiting.Go(func() {
			if code, _, _ := w.Do(t, http.MethodGet, "/apis/ext.example.com/v1/things", ""); code != http.StatusOK {
				t.Errorf("a question that waited is answered %d", code)
			}
		})
	}
	for range held {
		<-arrived
	}
	for path, has := range map[string]string{
		"/api/v1/namespaces":                 `"default"`,
		"/apis":                              `"ext.example.com"`,
		"/apis/apps/v1":                      `"deployments"`,
		"/openapi/v3":                        `"apis/ext.example.com/v1"`,
		services + "/v1.ext.example.com":     `"Passed"`,
		"/api/v1/namespaces/default/secrets": `"items"`,
		"/api/v1/namespaces?watch=1&timeoutSeconds=1": `"ADDED"`,
	} {
		eventually(t, func() (string, bool) { // its group and document are shown a moment after its condition
			code, _, body := w.Do(t, http.MethodGet, path, "")
			return fmt.Sprintf("meanwhile %s is answered %d, without %s: %.300s", path, code, has, body), code == http.StatusOK && strings.Contains(string(body), has)
		})
	}
	code, _, body := w.Do(t, http.MethodPost, "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"free"}}`, "Content-Type", "application/json")
	if code != http.StatusCreated {
		t.Errorf("meanwhile a write is answered %d: %s", code, body)
	}
	close(release)
	waiting.Wait()
}
