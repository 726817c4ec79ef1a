package ingress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxAnswerHead bounds the head of an answer, in bytes.
const maxAnswerHead = 1 << 20

// direct sends requests without a body, which can be sent again, in HTTP/1.1 on
// the goroutine that asks. http.Transport has two goroutines of its own for
// each connection, and to hand a small request to and fro between the three is
// most of what it costs. Everything else goes by the rest.
type direct struct {
	rest *http.Transport // whose dialer both use
	idle idleLines
}

func newDirect(rest *http.Transport) *direct {
	return &direct{rest: rest, idle: idleLines{lines: map[string][]*line{}}}
}

// closeIdle closes the connections that wait for their next request.
func (d *direct) closeIdle() {
	d.idle.close(time.Now())
	d.rest.CloseIdleConnections()
}

// simple tells a request that direct can send.
func simple(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	return (req.Body == nil || req.Body == http.NoBody) && req.Header.Get("Upgrade") == "" && req.Header.Get("Expect") == ""
}

// RoundTrip implements http.RoundTripper.
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if !simple(req) {
		return d.rest.RoundTrip(req)
	}
	for {
		l, used := d.idle.take(req.URL.Host)
		if used && !l.quiet() {
			_ = l.conn.Close()
			continue
		}
		if !used {
			conn, err := d.rest.DialContext(req.Context(), "tcp", req.URL.Host)
			if err != nil {
				return nil, err
			}
			l = newLine(req.URL.Host, conn)
		}
		res, err := l.exchange(req, &d.idle)
		if err == nil {
			return res, nil
		}
		_ = l.conn.Close()
		if cause := context.Cause(req.Context()); cause != nil {
			return nil, cause
		}
		if !used || l.answered || errors.Is(err, errLargeHead) || isTimeout(err) {
			return nil, err
		}
		// The endpoint had given the connection up: another one is tried.
	}
}

// line is a connection to an endpoint. One request at a time owns it.
type line struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	out     *bufio.Writer
	// room is how much may still be read of an answer's head; answered that
	// something was.
	room     int64
	answered bool
	since    time.Time // idle
}

func newLine(address string, conn net.Conn) *line {
	l := &line{address: address, conn: conn, out: bufio.NewWriter(conn)}
	l.in = bufio.NewReader(l)
	return l
}

// quiet tells that the endpoint has neither closed an idle line nor said what
// nobody asked for, and what would be taken for the next answer.
func (l *line) quiet() bool {
	sc, ok := l.conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var b [1]byte
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		_, _, peeked = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	})
	return err == nil && errors.Is(peeked, unix.EAGAIN)
}

var errLargeHead = errors.New("the head of the answer is too large")

// Read reads from the connection what there is room for.
func (l *line) Read(p []byte) (int, error) {
	if l.room <= 0 {
		return 0, errLargeHead
	}
	n, err := l.conn.Read(p[:min(int64(len(p)), l.room)])
	l.room -= int64(n)
	l.answered = l.answered || n > 0
	return n, err
}

// longAgo as a deadline ends what waits for the connection.
var longAgo = time.Unix(1, 0)

// exchange sends a request and reads the head of its answer. The line is free
// again, and goes to idle, when the answer's body was read to its end.
func (l *line) exchange(req *http.Request, idle *idleLines) (*http.Response, error) {
	ctx := req.Context()
	l.room, l.answered = maxAnswerHead, false
	if err := l.conn.SetDeadline(time.Now().Add(headTime)); err != nil {
		return nil, err
	}
	forget := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(longAgo) })
	res, err := l.ask(req)
	if err == nil {
		err = l.conn.SetDeadline(time.Time{})
	}
	if err == nil && ctx.Err() != nil { // it may have ended just before the deadline was taken away
		err = ctx.Err()
	}
	if err != nil {
		forget()
		return nil, err
	}
	l.room = math.MaxInt64
	b := &answerBody{ReadCloser: res.Body, line: l, idle: idle, forget: forget, last: res.Close || res.StatusCode == http.StatusSwitchingProtocols}
	if res.Body == http.NoBody {
		b.end(true)
	} else {
		res.Body = b
	}
	return res, nil
}

func (l *line) ask(req *http.Request) (*http.Response, error) {
	if err := req.Write(l.out); err != nil {
		return nil, err
	}
	if err := l.out.Flush(); err != nil {
		return nil, err
	}
	for {
		res, err := http.ReadResponse(l.in, req)
		if err != nil || res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, err
		}
		if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, err
			}
		}
	}
}

// answerBody is the body of an answer. It is read and closed by one goroutine.
type answerBody struct {
	io.ReadCloser
	line   *line
	idle   *idleLines
	forget func() bool
	last   bool // the endpoint takes no more requests on this line
	ended  bool
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end(errors.Is(err, io.EOF))
	}
	return n, err
}

// Close implements io.Closer. An answer that was not read to its end costs the
// connection.
func (b *answerBody) Close() error {
	b.end(false)
	return nil
}

func (b *answerBody) end(whole bool) {
	if b.ended {
		return
	}
	b.ended = true
	if inTime := b.forget(); inTime && whole && !b.last && b.line.in.Buffered() == 0 {
		b.idle.put(b.line)
		return
	}
	_ = b.line.conn.Close()
}
