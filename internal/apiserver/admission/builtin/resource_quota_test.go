package builtin_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// Who creates an object finds it counted in the quota as soon as the answer is
// there, without the quota's controller; what was refused is not counted.
func TestQuotaTellsOfAWriteAtOnce(t *testing.T) {
	s := apitest.Start(t, nil)
	const path = "/api/v1/namespaces/default/"
	do := func(method, at, body string, want int, headers ...string) []byte {
		t.Helper()
		code, _, answer := s.Do(t, method, path+at, body, append([]string{"Content-Type", "application/json"}, headers...)...)
		if code != want {
			t.Fatalf("%s %s is answered %d, want %d: %s", method, at, code, want, answer)
		}
		return answer
	}
	used := func() map[string]string {
		t.Helper()
		var q struct {
			Status struct{ Used map[string]string }
		}
		if err := json.Unmarshal(do(http.MethodGet, "resourcequotas/q", "", 200), &q); err != nil {
			t.Fatal(err)
		}
		return q.Status.Used
	}
	do(http.MethodPost, "resourcequotas", `{"metadata":{"name":"q"},"spec":{"hard":{"count/secrets":"2","secrets":"9","pods":"1","requests.cpu":"1","services":"5"}}}`, 201)
	do(http.MethodPost, "secrets", `{"metadata":{"name":"before"}}`, 201)
	if got := used(); got != nil {
		t.Errorf("a status that counts nothing yet is %v", got)
	}
	do(http.MethodPatch, "resourcequotas/q/status", `{"status":{"hard":{"count/secrets":"2","pods":"1","requests.cpu":"1"},"used":{"count/secrets":"0","pods":"0","requests.cpu":"0"}}}`,
		200, "Content-Type", "application/merge-patch+json")
	do(http.MethodPost, "secrets", `{"metadata":{"name":"one"}}`, 201)
	do(http.MethodPost, "secrets", `{"metadata":{"name":"one"}}`, 403)
	do(http.MethodPost, "secrets?dryRun=All", `{"metadata":{"name":"two"}}`, 403)
	pod := `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"250m"}}}]}}`
	do(http.MethodPost, "pods?dryRun=All", pod, 201)
	do(http.MethodPost, "services", `{"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}}`, 201)
	if diff := cmp.Diff(map[string]string{"count/secrets": "2", "pods": "0", "requests.cpu": "0"}, used()); diff != "" {
		t.Error(diff)
	}
	do(http.MethodPost, "pods", pod, 201)
	if diff := cmp.Diff(map[string]string{"count/secrets": "2", "pods": "1", "requests.cpu": "250m"}, used()); diff != "" {
		t.Error(diff)
	}
}
