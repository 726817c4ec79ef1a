package stats

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// twice tells a figure of one name and label two times, as of two disks that
// have no device file any more.
type twice struct{}

func (twice) Describe(chan<- *prometheus.Desc) {}

func (twice) Collect(out chan<- prometheus.Metric) {
	e, at := newEmitter(out), time.Unix(1_700_000_000, 0)
	e.send(counter("reads", "of a device", "device"), 1, at, "")
	e.send(counter("reads", "of a device", "device"), 2, at, "")
	e.send(gauge("memory", "of the node"), 3, at)
}

func TestOneFigureSpoilsNoOther(t *testing.T) {
	answer := httptest.NewRecorder()
	serve(twice{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	if body := answer.Body.String(); answer.Code != http.StatusOK || !strings.Contains(body, "memory 3 1700000000000") || !strings.Contains(body, "reads{") {
		t.Errorf("%d\n%s", answer.Code, body)
	}
}
