package resourcemetrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

var (
	zero = time.Unix(1_700_000_000, 0)
	web  = types.NamespacedName{Namespace: "default", Name: "web"}
)

func second(s float64) time.Time { return zero.Add(time.Duration(s * float64(time.Second))) }

// sampleAt is a sample of one container.
func sampleAt(s, cpu, memory float64, start time.Time) *sample {
	return &sample{at: second(s), node: point{at: second(s), cpu: 10 * cpu, memory: memory},
		pods: map[types.NamespacedName]map[string]point{web: {"app": {at: second(s), cpu: cpu, memory: memory, start: start}}}}
}

func TestWindowsSlide(t *testing.T) {
	var w window
	for _, step := range []struct {
		at   float64
		span time.Duration
	}{{0, -1}, {1, time.Second}, {16, 15 * time.Second}, {31, 15 * time.Second}, {33, 17 * time.Second},
		{46, 13 * time.Second}, {51, 18 * time.Second}, {56, 23 * time.Second}, {61, 28 * time.Second}, {66, 5 * time.Second}} {
		w = w.with(sampleAt(step.at, step.at, 100, zero))
		if !w.complete() {
			if step.span >= 0 {
				t.Errorf("at %v: no window", step.at)
			}
			continue
		}
		if got := w.last.at.Sub(w.before.at); got != step.span {
			t.Errorf("at %v: a window of %v, want %v", step.at, got, step.span)
		}
	}
}

func TestUse(t *testing.T) {
	long := zero.Add(-time.Hour)
	cases := []struct {
		name         string
		before, last *sample
		cpu, memory  string // empty: not known
		window       time.Duration
	}{
		{"two samples", sampleAt(0, 100, 1, long), sampleAt(10, 102.5, 2048, long), "250m", "2Ki", 10 * time.Second},
		{"less than a thousandth", sampleAt(0, 100, 1, long), sampleAt(10, 100.0012345, 1, long), "123450n", "1", 10 * time.Second},
		{"one sample of what runs for long", nil, sampleAt(10, 102, 2048, long), "", "", 0},
		{"started between", sampleAt(0, 0, 0, time.Time{}), sampleAt(10, 2, 2048, second(6)), "500m", "2Ki", 4 * time.Second},
		{"started just now", sampleAt(0, 0, 0, time.Time{}), sampleAt(10, 2, 2048, second(9.5)), "", "", 0},
		{"began anew", sampleAt(0, 100, 1, long), sampleAt(10, 2, 2048, second(5)), "400m", "2Ki", 5 * time.Second},
		{"counter went back", sampleAt(0, 100, 1, long), sampleAt(10, 2, 2048, long), "", "", 0},
		{"no memory told", sampleAt(0, 100, 1, long), sampleAt(10, 101, 0, long), "", "", 0},
	}
	for _, tc := range cases {
		w := window{tc.before, tc.last}
		if tc.before != nil && tc.before.pods[web]["app"].start.IsZero() {
			delete(tc.before.pods, web)
		}
		got, of, ok := w.pod(web)
		if ok != (tc.cpu != "") {
			t.Errorf("%s: known %v: %v", tc.name, ok, got)
			continue
		}
		if ok && (got[0].Usage.Cpu().String() != tc.cpu || got[0].Usage.Memory().String() != tc.memory || of.window != tc.window) {
			t.Errorf("%s: %s %s %v, want %s %s %v", tc.name, got[0].Usage.Cpu(), got[0].Usage.Memory(), of.window, tc.cpu, tc.memory, tc.window)
		}
	}
	if u, ok := (window{sampleAt(0, 1, 1, long), sampleAt(10, 3, 5, long)}).node(); !ok || u.usage[corev1.ResourceCPU] != *scaled(2e9, "DecimalSI", -9) {
		t.Errorf("the node: %v %v", u, ok)
	}
}

// answerOf is what a node answers whose one container has used so much CPU.
func answerOf(at time.Time, cpu float64) string {
	return fmt.Sprintf(`# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="app",namespace="default",pod="web"} %[1]v %[2]d
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="app",namespace="default",pod="web"} 4096 %[2]d
# TYPE container_start_time_seconds gauge
container_start_time_seconds{container="app",namespace="default",pod="web"} 1.5e+09
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total %[1]v %[2]d
# TYPE node_memory_working_set_bytes gauge
node_memory_working_set_bytes 8192 %[2]d
`, cpu, at.UnixMilli())
}

func TestAnswersAreRead(t *testing.T) {
	s, err := read(strings.NewReader(answerOf(second(5), 7)), second(6))
	if err != nil {
		t.Fatal(err)
	}
	want := point{at: second(5), cpu: 7, memory: 4096, start: time.Unix(1_500_000_000, 0)}
	if got := s.pods[web]["app"]; !got.at.Equal(want.at) || got.cpu != want.cpu || got.memory != want.memory || !got.start.Equal(want.start) {
		t.Errorf("container: %+v", got)
	}
	if s.node.cpu != 7 || s.node.memory != 8192 {
		t.Errorf("node: %+v", s.node)
	}
	for _, bad := range []string{"{", "a b c\n", "x{y=\"\n"} {
		if _, err := read(strings.NewReader(bad), zero); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(answerOf(zero, 1))
	f.Add("node_cpu_usage_seconds_total NaN\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := read(strings.NewReader(text), zero)
		if err != nil {
			return
		}
		w := window{}.with(s).with(s)
		w.node()
		for name := range s.pods {
			w.pod(name)
		}
	})
}
