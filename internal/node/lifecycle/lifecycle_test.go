package lifecycle

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/nodetest"
)

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		hook := &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}
		if err := Run(t.Context(), Target{}, hook); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Run(ctx, Target{}, hook); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut short: %v", err)
		}
	})
}

func TestHTTPHook(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ok" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer srv.Close()
	host, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c := &corev1.Container{Name: "c", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: int32(n)}}}
	for _, tc := range []struct {
		path string
		port intstr.IntOrString
		ok   bool
	}{{"/ok", intstr.FromInt(n), true}, {"/ok", intstr.FromString("web"), true}, {"/bad", intstr.FromInt(n), false}, {"/ok", intstr.FromString("none"), false}} {
		err := Run(t.Context(), Target{Container: c, PodIP: host}, &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: tc.path, Port: tc.port}})
		if (err == nil) != tc.ok {
			t.Errorf("%s %s: %v", tc.path, tc.port.String(), err)
		}
	}
}

func TestExecHook(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cri.sock")
	fake := nodetest.NewRuntime()
	if err := fake.Serve(socket); err != nil {
		t.Fatal(err)
	}
	defer fake.Stop()
	rt, err := cri.Dial(socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	hook := &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}}
	if err := Run(t.Context(), Target{Runtime: rt}, hook); err != nil {
		t.Error(err)
	}
	fake.Fail("ExecSync", errors.New("exit 1"))
	if err := Run(t.Context(), Target{Runtime: rt}, hook); err == nil {
		t.Error("a failed command went unnoticed")
	}
	if err := Run(t.Context(), Target{}, &corev1.LifecycleHandler{}); err == nil {
		t.Error("a hook without a handler was run")
	}
}
