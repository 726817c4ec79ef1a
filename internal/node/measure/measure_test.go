package measure

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }

func TestCovered(t *testing.T) {
	for name, tc := range map[string]struct {
		spans []Span
		want  int
	}{
		"none":               {nil, 0},
		"one":                {[]Span{{at(2), at(5)}}, 3},
		"apart, in disorder": {[]Span{{at(6), at(8)}, {at(1), at(2)}}, 3},
		"overlapping":        {[]Span{{at(1), at(5)}, {at(3), at(6)}}, 5},
		"one in another":     {[]Span{{at(1), at(6)}, {at(2), at(3)}}, 5},
		"beyond both ends":   {[]Span{{at(-5), at(2)}, {at(9), at(50)}}, 3},
		"backwards":          {[]Span{{at(5), at(2)}}, 0},
	} {
		if got := covered(tc.spans, at(0), at(10)); got != time.Duration(tc.want)*time.Second {
			t.Errorf("%s: %s, want %ds", name, got, tc.want)
		}
	}
}

// lines are those of the agent's own series that begin so.
func lines(m *Metrics, prefix string) (out []string) {
	rec := httptest.NewRecorder()
	m.Own().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for l := range strings.Lines(rec.Body.String()) {
		if strings.HasPrefix(l, prefix) {
			out = append(out, strings.TrimSpace(l))
		}
	}
	return out
}

func TestStartsAndEvictions(t *testing.T) {
	m := New("n1", "v1.36.0")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(at(0))}}
	m.PodRunning(pod, at(1), at(10), Span{at(2), at(9)})
	m.Evicted("nodefs.available", 2*time.Second)
	for _, want := range []string{
		"kubelet_pod_start_sli_duration_seconds_sum 3", "kubelet_pod_start_total_duration_seconds_sum 10", "kubelet_pod_start_duration_seconds_sum 9",
		`kubelet_evictions{eviction_signal="nodefs.available"} 1`, `kubelet_eviction_stats_age_seconds_sum{eviction_signal="nodefs.available"} 2`,
	} {
		name, _, _ := strings.Cut(want, " ")
		if got := lines(m, name+" "); len(got) != 1 || got[0] != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	var none *Metrics
	none.PodRunning(pod, at(1), at(10))
	none.Evicted("x", 0)
}
