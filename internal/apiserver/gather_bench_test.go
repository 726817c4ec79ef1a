package apiserver

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// BenchmarkGather holds gathered connections against others: small answers to 16
// clients at a time, and a chunk to each of 100 streams, all of one connection,
// in CPU time of the process, of which the client is a part.
func BenchmarkGather(b *testing.B) {
	for _, gathers := range []bool{false, true} {
		b.Run(fmt.Sprintf("answers/gathers=%v", gathers), func(b *testing.B) {
			s := gatherServer(b, gathers, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1200)) })
			begun, left := cpuTime(b), atomic.Int64{}
			left.Store(int64(b.N))
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						answer, err := s.Client().Get(s.URL)
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, answer.Body)
						_ = answer.Body.Close()
					}
				})
			}
			all.Wait()
			b.ReportMetric((cpuTime(b)-begun)/float64(b.N), "CPU-µs/op")
		})
		b.Run(fmt.Sprintf("streams/gathers=%v", gathers), func(b *testing.B) {
			const streams, chunk = 100, 700
			var turns [streams]chan struct{}
			var next atomic.Int64
			for i := range turns {
				turns[i] = make(chan struct{}, 1)
			}
			s := gatherServer(b, gathers, func(w http.ResponseWriter, _ *http.Request) {
				control := http.NewResponseController(w)
				_ = control.Flush()
				for range turns[next.Add(1)-1] {
					_, _ = w.Write(make([]byte, chunk))
					_ = control.Flush()
				}
			})
			var bodies []io.Reader
			for range streams {
				answer, err := s.Client().Get(s.URL)
				if err != nil {
					b.Fatal(err)
				}
				bodies = append(bodies, answer.Body)
			}
			begun := cpuTime(b)
			for range b.N {
				var all sync.WaitGroup
				for i := range turns {
					turns[i] <- struct{}{}
					all.Go(func() { _, _ = io.ReadFull(bodies[i], make([]byte, chunk)) })
				}
				all.Wait()
			}
			b.ReportMetric((cpuTime(b)-begun)/float64(b.N*streams), "CPU-µs/event")
			for _, turn := range turns {
				close(turn)
			}
		})
	}
}

func gatherServer(b *testing.B, gathers bool, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	if gathers {
		s.Listener = gather(s.Listener)
		s.Config.ConnState = func(conn net.Conn, state http.ConnState) { gatherHTTP2(conn, state) }
	}
	s.StartTLS()
	b.Cleanup(s.Close)
	return s
}

// cpuTime is what this process has used so far, in µs.
func cpuTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
}
