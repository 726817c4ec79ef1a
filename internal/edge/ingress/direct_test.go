package ingress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func directTo() *direct {
	var one http.Protocols
	one.SetHTTP1(true)
	return newDirect(newTransport(&one))
}

func asked(t *testing.T, ctx context.Context, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// through asks by direct and reads the answer.
func through(t *testing.T, d *direct, url string) (string, error) {
	t.Helper()
	res, err := d.RoundTrip(asked(t, t.Context(), url))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// Requests one after the other share a connection, whatever the form of the
// answer, and one that the endpoint has closed meanwhile is no failure.
func TestConnectionsAreUsedAgain(t *testing.T) {
	var made atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/parts":
			_, _ = io.WriteString(w, "in ")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "parts")
		default:
			_, _ = io.WriteString(w, "whole")
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			made.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	d := directTo()
	for range 5 {
		for path, want := range map[string]string{"/none": "", "/parts": "in parts", "/": "whole"} {
			if got, err := through(t, d, srv.URL+path); got != want || err != nil {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		}
	}
	if n := made.Load(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
	d.closeIdle()
	if got, err := through(t, d, srv.URL); got != "whole" || err != nil || made.Load() != 2 {
		t.Errorf("after the kept ones were closed: %q, %v, %d connections", got, err, made.Load())
	}
	srv.CloseClientConnections()
	if got, err := through(t, d, srv.URL); got != "whole" || err != nil {
		t.Errorf("after the endpoint closed: %q, %v", got, err)
	}
	if n := made.Load(); n != 3 {
		t.Errorf("%d connections were made", n)
	}
}

// answering serves each connection with some bytes once a request came.
func answering(t *testing.T, answer string, end func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, answer)
					end(conn)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func closes(net.Conn) {}

// waits until the other side has gone.
func waits(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestAnswersOfBadEndpoints(t *testing.T) {
	const length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
	for name, c := range map[string]struct {
		answer string
		end    func(net.Conn)
		body   string
		fails  string
	}{
		"nothing":            {"", closes, "", "EOF"},
		"garbage":            {"<html>\r\n\r\n", closes, "", "malformed"},
		"cut short":          {length + "short", closes, "short", "EOF"},
		"until the end":      {"HTTP/1.1 200 OK\r\n\r\nall of it", closes, "all of it", ""},
		"more than was said": {length + "all of it, and more", waits, "all of it", ""},
		"an endless head":    {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxAnswerHead), waits, "", "too large"},
		"old":                {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", closes, "old", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := directTo()
			body, err := through(t, d, answering(t, c.answer, c.end))
			if body != c.body || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%q, %v", body, err)
			}
			if d.idle.count != 0 {
				t.Errorf("%d such connections are kept", d.idle.count)
			}
		})
	}
}

// Who asked and went away, or has no more time, waits for nobody.
func TestDirectRequestsEnd(t *testing.T) {
	const length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
	cancelled := errors.New("the client is gone")
	for name, answer := range map[string]string{"before the head": "", "in the body": length + "some"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		d := directTo()
		req := asked(t, ctx, answering(t, answer, func(c net.Conn) {
			cancel(cancelled)
			waits(c)
		}))
		res, err := d.RoundTrip(req)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		if err == nil || d.idle.count != 0 {
			t.Errorf("%s: %v, %d connections are kept", name, err, d.idle.count)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := directTo().RoundTrip(asked(t, ctx, answering(t, "", waits))); !isTimeout(err) {
		t.Errorf("out of time: %v", err)
	}
}

// What comes before the answer is told, as 103 Early Hints.
func TestHintsArePassedOn(t *testing.T) {
	url := answering(t, "HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage", waits)
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, h.Get("Link"))
		return nil
	}})
	res, err := directTo().RoundTrip(asked(t, ctx, url))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "page" || err != nil || len(hints) != 1 || hints[0] != "</style>" {
		t.Errorf("%q, %v, hints %q", body, err, hints)
	}
}

// Lines that nobody uses are closed in time.
func TestIdleLinesEnd(t *testing.T) {
	lines := idleLines{lines: map[string][]*line{}, sweeping: true}
	near, far := net.Pipe()
	kept, other := net.Pipe()
	defer kept.Close()
	defer other.Close()
	lines.put(newLine("a", near))
	lines.put(newLine("a", kept))
	lines.lines["a"][0].since = time.Now().Add(-lineTime)
	lines.sweep()
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || lines.count != 1 || len(lines.lines["a"]) != 1 {
		t.Errorf("%v, %d lines are left", err, lines.count)
	}
	if l, ok := lines.take("a"); !ok || l.conn != kept || lines.count != 0 || len(lines.lines) != 0 {
		t.Errorf("taken: %v, %d lines are left", ok, lines.count)
	}
}
