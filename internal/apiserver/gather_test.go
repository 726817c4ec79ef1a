package apiserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// gatheredPair is a connection that gathers, and its client's end. A write of a
// pipe ends when it is read.
func gatheredPair(t testing.TB) (*gatheringConn, net.Conn) {
	near, far := net.Pipe()
	c := newGatheringConn(near, &sync.Pool{New: func() any { return new([]byte) }})
	c.begin(time.Minute)
	t.Cleanup(func() { _ = far.Close(); _ = c.Close() })
	return c, far
}

// write fails unless the whole text is taken.
func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := io.WriteString(c, text); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

// pieces are the next n writes that come out of the pipe.
func pieces(t *testing.T, far net.Conn, n int) []string {
	t.Helper()
	var out []string
	for range n {
		buf := make([]byte, 2*gatherMost)
		got, err := far.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(buf[:got]))
		synctest.Wait()
	}
	return out
}

func TestWritesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := gatheredPair(t)
		write(t, c, "a")
		synctest.Wait()
		write(t, c, "b")
		write(t, c, "c")
		if got := pieces(t, far, 2); got[0] != "a" || got[1] != "bc" {
			t.Errorf("sent %q", got)
		}
		write(t, c, "d")
		if got := pieces(t, far, 1); got[0] != "d" {
			t.Errorf("sent %q", got)
		}
	})
}

func TestNoMoreWaitsThanMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := gatheredPair(t)
		half := string(make([]byte, gatherMost/2))
		write(t, c, "a")
		synctest.Wait()
		write(t, c, half)
		write(t, c, half)
		more := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte("z"))
			more <- err
		}()
		synctest.Wait()
		select {
		case <-more:
			t.Error("more waits than may")
		default:
		}
		if got := pieces(t, far, 3); len(got[1]) != gatherMost || got[2] != "z" {
			t.Errorf("sent %d and %q", len(got[1]), got[2])
		}
		if err := <-more; err != nil {
			t.Error(err)
		}
	})
}

func TestAClientThatTakesNothingLosesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := gatheredPair(t)
		write(t, c, "abc")
		_ = c.SetWriteDeadline(time.Now()) // has no effect
		time.Sleep(time.Minute - 1)
		if _, err := far.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - 1)
		write(t, c, "d") // it took something
		time.Sleep(time.Second)
		synctest.Wait()
		if _, err := c.Write([]byte("e")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the next write: %v", err)
		}
	})
}

func TestAGatheringConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := gatheredPair(t)
		write(t, c, "a")
		synctest.Wait()
		write(t, c, "last words")
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		if got, err := io.ReadAll(far); string(got) != "alast words" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if _, err := c.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after its end: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, _ := gatheredPair(t)
		write(t, c, "nobody reads this")
		begun := time.Now()
		if err := c.Close(); err != nil || time.Since(begun) > farewell {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

// Only connections of HTTP/2 begin to be gathered, with their own limit.
func TestOnlyConnectionsOfHTTPTwoAreGathered(t *testing.T) {
	for _, two := range []bool{true, false} {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Listener, s.EnableHTTP2 = gather(s.Listener), two
		active := make(chan *gatheringConn, 1)
		s.Config.ConnState = func(conn net.Conn, state http.ConnState) {
			gatherHTTP2(conn, state)
			if state == http.StateActive {
				select {
				case active <- conn.(*tls.Conn).NetConn().(*gatheringConn):
				default: // it is known
				}
			}
		}
		s.StartTLS()
		t.Cleanup(s.Close)
		answer, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		c, want := <-active, time.Duration(0)
		if two {
			want = limits.Stall
		}
		c.mu.Lock()
		if c.stall != want || (answer.ProtoMajor == 2) != two {
			t.Errorf("%s: a client may take nothing for %v, want %v", answer.Proto, c.stall, want)
		}
		c.mu.Unlock()
	}
}

// Writes of one goroutine arrive in their order and whole, whatever their size.
func TestGatheredWritesKeepTheirOrder(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		near, far := net.Pipe()
		c := newGatheringConn(near, &sync.Pool{New: func() any { return new([]byte) }})
		if rapid.Bool().Draw(t, "begun") {
			c.begin(time.Minute)
		}
		var want bytes.Buffer
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3*gatherBelow), 0, 20).Draw(t, "sizes")
		for i, size := range sizes {
			want.Write(bytes.Repeat([]byte{byte(i)}, size))
		}
		go func() {
			defer c.Close()
			for rest, i := want.Bytes(), 0; i < len(sizes); i++ {
				if _, err := c.Write(rest[:sizes[i]]); err != nil {
					return
				}
				rest = rest[sizes[i]:]
			}
		}()
		if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d of %d bytes came, %v", len(got), want.Len(), err)
		}
	})
}
