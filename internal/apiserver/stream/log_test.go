package stream

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// soon is how long a busy machine may take.
const soon = 2 * time.Minute

func TestLog(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		path, want string
		code       int
	}{
		{"/pods/p/log", "log \n", 200},
		{"/pods/p/log?container=c&tailLines=5&timestamps=true&limitBytes=100", "log limitBytes=100&tailLines=5&timestamps=true\n", 200},
		{"/pods/p/log?sinceSeconds=60&stream=Stdout", "log sinceSeconds=60&stream=Stdout\n", 200},
		{"/pods/p/log?sinceTime=2026-01-02T03:04:05Z&insecureSkipTLSVerifyBackend=true", "log sinceTime=2026-01-02T03%3A04%3A05Z\n", 200},
		{"/pods/p/log?previous=true", `previous terminated container "c" in pod "p" not found`, 400},
		{"/pods/p/log?container=none", "container none is not valid for pod p", 400},
		{"/pods/two/log", "a container name must be specified for pod two, choose one of: [a b]", 400},
		{"/pods/early/log", "", 204},
		{"/pods/early/log?container=none", "container none is not valid for pod early", 400},
		{"/pods/gone/log", `pods "gone" not found`, 404},
		{"/pods/p/log?tailLines=-1", `PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0`, 422},
		{"/pods/p/log?limitBytes=0", `PodLogOptions "p" is invalid: limitBytes: Invalid value: 0: must be greater than 0`, 422},
		{"/pods/p/log?sinceSeconds=0", `PodLogOptions "p" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0`, 422},
		{"/pods/p/log?tailLines=many", `strconv.ParseInt: parsing "many": invalid syntax`, 400},
	} {
		if code, got := f.ask(t, http.MethodGet, c.path); code != c.code || got != c.want {
			t.Errorf("%s: %d %q", c.path, code, got)
		}
	}
}

func TestFollowEndsWithTheClient(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/pods/p/log?follow=true", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	go func() { f.node.follow <- "one" }()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for _, want := range []string{"one", "two"} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("read %q, want %q: %v", lines.Text(), want, lines.Err())
		}
		if want == "one" {
			f.node.follow <- "two"
		}
	}
	cancel()
	awaitEnd(t, f)
}

// openLog opens a log as a WebSocket.
func openLog(t *testing.T, f *fixture, path, protocol string) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{protocol}, HandshakeTimeout: soon}
	conn, response, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(f.url, "http")+path, nil)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	if got := conn.Subprotocol(); got != protocol {
		t.Errorf("asked for %q, got %q", protocol, got)
	}
	return conn
}

func TestLogAsWebSocket(t *testing.T) {
	f := newFixture(t)
	for protocol, want := range map[string]string{"binary.k8s.io": "log \n", "base64.binary.k8s.io": "bG9nIAo="} {
		conn := openLog(t, f, "/pods/p/log", protocol)
		var got strings.Builder
		for {
			_, message, err := conn.ReadMessage()
			if err != nil {
				break // the server ends it after the last piece
			}
			got.Write(message)
		}
		if got.String() != want {
			t.Errorf("%s: %q, want %q", protocol, got.String(), want)
		}
	}
}

func TestFollowedWebSocketEndsWithTheClient(t *testing.T) {
	f := newFixture(t)
	go func() { f.node.follow <- "one" }()
	conn := openLog(t, f, "/pods/p/log?follow=true", "binary.k8s.io")
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if string(message) == "one\n" {
			break
		}
	}
	_ = conn.Close()
	awaitEnd(t, f)
}

func awaitEnd(t *testing.T, f *fixture) {
	t.Helper()
	select {
	case <-f.node.ended:
	case <-time.After(soon):
		t.Fatal("the node's side goes on for nobody")
	}
}

func FuzzLogOptions(f *testing.F) {
	f.Add("follow&tailLines=5&sinceTime=2026-01-02T03:04:05Z")
	f.Add("sinceSeconds=-9223372036854775809&stream=x")
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		o, err := logOptions(values, "p")
		if err != nil {
			return
		}
		again, err := logOptions(kubeletQuery(o), "p")
		if err != nil {
			t.Fatalf("what goes to the node is not valid: %v", err)
		}
		if again.Follow != o.Follow || (again.TailLines == nil) != (o.TailLines == nil) || (again.SinceTime == nil) != (o.SinceTime == nil) {
			t.Fatalf("%+v became %+v", o, again)
		}
	})
}
