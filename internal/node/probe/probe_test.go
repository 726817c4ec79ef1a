package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestRunner plays outcomes and notes when the verdict changes.
func TestRunner(t *testing.T) {
	cases := []struct {
		name     string
		kind     Kind
		spec     corev1.Probe
		outcomes string // s, f, w (warning), u (unknown)
		want     []string
		tries    int
	}{
		{"readiness after initial delay", Readiness, corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 10}, "s", []string{"5s true"}, 4},
		{"readiness lost after three failures", Readiness, corev1.Probe{PeriodSeconds: 1}, "sfffs", []string{"0s true", "3s false", "4s true"}, 6},
		{"a single failure is forgiven", Readiness, corev1.Probe{PeriodSeconds: 1}, "sffsffs", []string{"0s true"}, 8},
		{"successes have to follow each other", Readiness, corev1.Probe{PeriodSeconds: 1, SuccessThreshold: 2}, "sfss", []string{"3s true"}, 6},
		{"unknown counts for nothing", Readiness, corev1.Probe{PeriodSeconds: 1}, "suufufuf", []string{"0s true", "7s false"}, 9},
		{"a warning is a success", Readiness, corev1.Probe{PeriodSeconds: 1}, "w", []string{"0s true"}, 2},
		{"liveness ends with its failure", Liveness, corev1.Probe{PeriodSeconds: 2, FailureThreshold: 2}, "sff", []string{"4s false"}, 3},
		{"startup ends with its success", Startup, corev1.Probe{PeriodSeconds: 1, FailureThreshold: 30}, "ffs", []string{"2s true"}, 3},
		{"startup gives up", Startup, corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2}, "ff", []string{"1s false"}, 2},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, tries := time.Now(), 0
				var got []string
				r := &Runner{
					Kind: tc.kind, Spec: &tc.spec, Started: began, First: tc.kind == Liveness,
					Changed: func(ok bool, _ string) { got = append(got, fmt.Sprintf("%s %v", time.Since(began), ok)) },
					Event:   func(string, string) {},
					Try: func(context.Context) (Outcome, string) {
						o := tc.outcomes[min(tries, len(tc.outcomes)-1)]
						tries++
						return map[byte]Outcome{'s': Success, 'f': Failure, 'w': Warning, 'u': Unknown}[o], ""
					},
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(tc.tries-1)*seconds(tc.spec.PeriodSeconds, 10)+6*time.Second-time.Millisecond)
				defer cancel()
				r.Run(ctx)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				if tc.kind != Readiness && tries != tc.tries {
					t.Errorf("%d tries, want %d", tries, tc.tries)
				}
			})
		})
	}
}

func TestEventsOfTries(t *testing.T) {
	var got []string
	r := &Runner{Kind: Readiness, Event: func(reason, message string) { got = append(got, reason+": "+message) }}
	r.tell(Success, "fine")
	r.tell(Failure, "HTTP probe failed with statuscode: 500")
	r.tell(Warning, "moved")
	r.tell(Unknown, "no such container")
	want := []string{
		"Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 500", "ProbeWarning: Readiness probe warning: moved",
		"Unhealthy: Readiness probe errored and resulted in unknown state: no such container",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func try(t *testing.T, fn Try) (Outcome, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return fn(ctx)
}

func TestHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/headers":
			fmt.Fprintf(w, "%s|%s|%s", r.Host, r.Header.Get("X-Own"), r.UserAgent())
		case "/away":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/ok":
			fmt.Fprint(w, strings.Repeat("x", 3*maxBody))
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer srv.Close()
	host, portText, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(portText, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	port := int32(n)
	cases := []struct {
		path string
		want Outcome
		text string
	}{
		{"/ok", Success, "xxx"}, {"/here", Success, "xxx"}, {"/away", Warning, "Probe terminated redirects"},
		{"/no", Failure, "HTTP probe failed with statuscode: 418"}, {"/headers", Success, "named.example|yes|kube-probe/1.36"},
	}
	for _, tc := range cases {
		fn, err := HTTP(host, port, &corev1.HTTPGetAction{Path: tc.path, HTTPHeaders: []corev1.HTTPHeader{{Name: "Host", Value: "named.example"}, {Name: "x-own", Value: "yes"}}})
		if err != nil {
			t.Fatal(err)
		}
		out, text := try(t, fn)
		if out != tc.want || !strings.HasPrefix(text, tc.text) || len(text) > maxBody+100 {
			t.Errorf("%s: %v %.60q", tc.path, out, text)
		}
	}
}

func TestTCPAndGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.54.9.3:0") // nobody else's, also when it is closed again
	if err != nil {
		t.Fatal(err)
	}
	state, srv := health.NewServer(), grpc.NewServer()
	healthpb.RegisterHealthServer(srv, state)
	state.SetServingStatus("down", healthpb.HealthCheckResponse_NOT_SERVING)
	go func() { _ = srv.Serve(l) }()
	defer srv.Stop()
	address := l.Addr().String()
	if out, text := try(t, TCP(address)); out != Success {
		t.Error(out, text)
	}
	if out, text := try(t, GRPC(address, "")); out != Success {
		t.Error(out, text)
	}
	if out, text := try(t, GRPC(address, "down")); out != Failure || text != `service unhealthy (responded with "NOT_SERVING")` {
		t.Error(out, text)
	}
	if out, text := try(t, GRPC(address, "none")); out != Failure {
		t.Error(out, text)
	}
	srv.Stop()
	if out, text := try(t, TCP(address)); out != Failure || !strings.Contains(text, "connection refused") {
		t.Error(out, text)
	}
}

func TestPorts(t *testing.T) {
	c := &corev1.Container{Name: "c", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}
	for _, tc := range []struct {
		port intstr.IntOrString
		want int32
		ok   bool
	}{
		{intstr.FromInt32(80), 80, true}, {intstr.FromString("web"), 8080, true}, {intstr.FromString("81"), 81, true},
		{intstr.FromString("none"), 0, false}, {intstr.FromInt32(0), 0, false}, {intstr.FromInt32(70000), 0, false},
	} {
		got, err := resolve(c, tc.port)
		if (err == nil) != tc.ok || (tc.ok && got != tc.want) {
			t.Errorf("%v: %d, %v", tc.port, got, err)
		}
	}
}
