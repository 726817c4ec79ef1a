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
	for _, c := range []struct{ name, method, path, media, body string }{
		{"get", http.MethodGet, maps + "/a", "", ""},
		{"patch", http.MethodPatch, maps + "/a", "application/merge-patch+json", `{"data":{"n":"%d"}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			begun := processTime(b)
			for i := range b.N {
				body := c.body
				if body != "" {
					body = fmt.Sprintf(body, i)
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
				if answer.Code != http.StatusOK {
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
