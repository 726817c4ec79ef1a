package aggregation_test

import (
	"net/http"
	"strings"
	"testing"
)

// A server that does not answer the question what it serves makes its own
// group unavailable, and tells why; discovery and all other groups go on
// meanwhile, and the group is back when it answers.
func TestAServerThatDoesNotTellWhatItServes(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) {})
	release, asked := make(chan struct{}), make(chan struct{}, 100)
	served := w.backend.Config.Handler
	w.backend.Config.Handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			served.ServeHTTP(out, r)
		default:
			asked <- struct{}{}
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	})
	w.service(t)
	w.register(t, `"insecureSkipTLSVerify":true`)
	<-asked // the first question is under way, and stays so
	for path, has := range map[string]string{
		"/apis":              `"apps"`,
		"/apis/apps/v1":      `"deployments"`,
		"/openapi/v3":        `"apis/apps/v1"`,
		"/api/v1/namespaces": `"default"`,
	} {
		if code, _, body := w.Do(t, http.MethodGet, path, ""); code != http.StatusOK || !strings.Contains(string(body), has) {
			t.Errorf("meanwhile %s is answered %d, without %s: %.300s", path, code, has, body)
		}
	}
	if code, _, _ := w.Do(t, http.MethodGet, "/apis/ext.example.com/v1/things", ""); code != http.StatusServiceUnavailable {
		t.Errorf("its own group is answered %d", code)
	}
	close(release)
	w.await(t, "True", "Passed")
}
