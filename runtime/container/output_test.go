package container

import (
	"bytes"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a client who takes nothing until it is open.
type gate struct {
	open chan struct{}
	got  bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.got.Write(p)
}

// A process ends while the client has not taken its output, of which the last
// is still in the pipe; a descendant of the process holds that open. The client
// gets all that was written, however late, and nobody waits for the descendant.
func TestASlowClientGetsTheWholeOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		written := bytes.Repeat([]byte("0123456789abcde\n"), 60000/16)
		if _, err := w.Write(written); err != nil {
			t.Fatal(err)
		}
		client, done, settled := &gate{open: make(chan struct{})}, make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(client, &output{file: r})
		}()
		go func() {
			defer close(settled)
			settle(done, []*os.File{r})
		}()
		time.Sleep(10 * outputWait)
		close(client.open)
		<-settled
		if !bytes.Equal(client.got.Bytes(), written) {
			t.Errorf("the client got %d bytes of %d", client.got.Len(), len(written))
		}
	})
}

// What goes on writing to the stream of a process that has ended is not read for ever.
func TestOutputOfWhoWritesOnEnds(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	written := make(chan error, 1)
	go func() {
		for err == nil {
			_, err = w.Write(make([]byte, 4096))
		}
		written <- err
	}()
	if err := r.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, &output{file: r}); err != nil {
		t.Error(err)
	}
	w.Close()
	<-written
}
