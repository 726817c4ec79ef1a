package ingress

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A request that an endpoint works on for too long is given up, not sent again
// on another connection.
func TestSlowRequestIsSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Int32
		d := directTo()
		d.rest.DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				in := bufio.NewReader(there)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if req.URL.Path == "/slow" {
						slow.Add(1)
						continue // and never answers
					}
					if _, err := io.WriteString(there, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
						return
					}
				}
			}()
			return here, nil
		}
		if _, err := through(t, d, "http://endpoint/quick"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := through(t, d, "http://endpoint/slow")
		if !isTimeout(err) || slow.Load() != 1 || time.Since(began) != headTime {
			t.Errorf("sent %d times in %s: %v", slow.Load(), time.Since(began), err)
		}
		d.closeIdle()
	})
}
