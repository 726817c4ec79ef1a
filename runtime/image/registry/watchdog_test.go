package registry

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchdogEndsAStalledReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stallAfter = time.Minute
		r, w := io.Pipe()
		dog := watch(r, stallAfter)
		defer dog.stop()
		go func() {
			for range 5 { // slow, but it goes on
				<-time.After(stallAfter - time.Second)
				if _, err := w.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		data, err := io.ReadAll(dog)
		if err == nil || len(data) != 5 || !dog.stalled() {
			t.Errorf("%d bytes, %v, stalled %v", len(data), err, dog.stalled())
		}
		if took, want := time.Since(start), 5*(stallAfter-time.Second)+stallAfter; took != want {
			t.Errorf("ended after %s, want %s", took, want)
		}
	})
}

// A disk that takes long to write what came is no registry that sends nothing.
func TestTheWatchdogDoesNotCountTheDisksTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		go func() {
			_, _ = io.WriteString(out, "one")
			_, _ = io.WriteString(out, "two")
			out.Close()
		}()
		r := watch(in, time.Minute)
		defer r.Close()
		buf := make([]byte, 3)
		for _, want := range []string{"one", "two"} {
			if n, err := r.Read(buf); err != nil || string(buf[:n]) != want {
				t.Fatalf("%q, %v", buf[:n], err)
			}
			time.Sleep(time.Hour)
		}
	})
}
