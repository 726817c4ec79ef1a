package apiserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// BenchmarkRequest serves each request on a new goroutine, as HTTP/2 does, and
// tells the CPU time of the process: growStack is held against it.
func BenchmarkRequest(b *testing.B) {
	s := apitest.Start(b, nil)
	const maps = "/api/v1/namespaces/default/configmaps"
	if code, _, body := s.Do(b, http.MethodPost, maps, `{"metadata":{"name":"a"},"data":{"a":"1"}}`, "Content-Type", "application/json"); code != http.StatusCreated {
		b.Fatalf("%d %s", code, body)
	}
	text := strings.Repeat("x", 1024)
	n := 0
	for _, c := range []struct{ name, method, path, media, body string }{
		{"get", http.MethodGet, maps + "/a", "", ""},
		{"create", http.MethodPost, maps, "application/json", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c-%d"},"data":{"text":"` + text + `"}}`},
		{"update", http.MethodPut, maps + "/a", "application/json", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"n":"%d","text":"` + text + `"}}`},
		{"patch", http.MethodPatch, maps + "/a", "application/merge-patch+json", `{"data":{"n":"%d"}}`},
		{"apply", http.MethodPatch, maps + "/a?fieldManager=bench&force=true", "application/apply-patch+yaml",
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"n":"%d","text":"` + text + `"}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			begun := processTime(b)
			for range b.N {
				body := c.body
				if body != "" {
					n++
					body = fmt.Sprintf(body, n)
				}
				req := httptest.NewRequestWithContext(b.Context(), c.method, c.path, strings.NewReader(body))
				req.Header.Set("Authorization", "Bearer "+apitest.Token)
				req.Header.Set("Content-Type", c.media)
				answer := httptest.NewRecorder()
				done := make(chan struct{})
				go func() {
					defer close(done)
					s.Handler().ServeHTTP(answer, req)
				}()
				<-done
				if answer.Code != http.StatusOK && answer.Code != http.StatusCreated {
					b.Fatalf("%d %s", answer.Code, answer.Body)
				}
			}
			b.ReportMetric((processTime(b)-begun)/float64(b.N), "CPU-µs/op")
		})
	}
}

// processTime is in µs.
func processTime(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
}
