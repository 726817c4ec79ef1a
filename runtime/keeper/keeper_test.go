package keeper

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/knarr-io/knarr/runtime/keep/holds"
	"github.com/knarr-io/knarr/runtime/keep/reaper"
	"github.com/knarr-io/knarr/runtime/keep/server"
	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

// keepServer is the real server, without services.
type keepServer struct {
	table *holds.Table
	exits *reaper.Log
	ln    *net.UnixListener
	stop  func()
}

func serve(t *testing.T, socket string) *keepServer {
	t.Helper()
	exits, err := reaper.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	k := &keepServer{table: holds.New(nil), exits: exits, ln: ln}
	srv := &server.Server{Log: quiet(), Holds: k.table, Exits: exits}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ln)
	}()
	k.stop = func() {
		ln.Close()
		<-done
	}
	t.Cleanup(k.stop)
	return k
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(time.Minute), time.NewTicker(2*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("timed out: %s", what)
		case <-tick.C:
		}
	}
}

func run(t *testing.T, k *Keeper) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		k.client.Close()
	})
}

func TestHeldAgainByAKeepThatComesLate(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "keep.sock")
	k := New(socket, quiet())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	k.Hold("a", []*os.File{r})
	k.Hold("b", []*os.File{w})
	k.Drop("b")
	run(t, k)
	srv := serve(t, socket)
	eventually(t, "keep holds what it should", func() bool {
		list := srv.table.List()
		return len(list) == 1 && list[0].Key == "a"
	})
	files, err := k.Take("a")
	if err != nil || len(files) != 1 {
		t.Fatalf("take: %v, %v", files, err)
	}
	files[0].Close()
}

func TestExits(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "keep.sock")
	srv := serve(t, socket)
	early, late, never, other := proc.ID{PID: 1, StartTime: 1}, proc.ID{PID: 2, StartTime: 2}, proc.ID{PID: 3, StartTime: 3}, wire.Exit{PID: 4, StartTime: 4}
	if err := srv.exits.Append(wire.Exit{PID: early.PID, StartTime: early.StartTime, ExitCode: 42}); err != nil {
		t.Fatal(err)
	}
	if err := srv.exits.Append(other); err != nil {
		t.Fatal(err)
	}
	k := New(socket, quiet())
	for _, id := range []proc.ID{early, late, never} {
		k.Want(id)
	}
	run(t, k)
	if e, ok := k.Exit(t.Context(), early, true, time.Minute); !ok || e.ExitCode != 42 {
		t.Errorf("an early end: %+v, %v", e, ok)
	}
	if _, ok := k.Exit(t.Context(), never, true, time.Minute); ok {
		t.Error("an end that nobody saw is known")
	}
	got := make(chan wire.Exit, 1)
	go func() {
		e, _ := k.Exit(t.Context(), late, false, time.Minute)
		got <- e
	}()
	if err := srv.exits.Append(wire.Exit{PID: late.PID, StartTime: late.StartTime, ExitCode: 7}); err != nil {
		t.Fatal(err)
	}
	if e := <-got; e.ExitCode != 7 {
		t.Errorf("a late end: %+v", e)
	}
	k.Forget(early)
	k.Forget(late)
	eventually(t, "records that nobody wants are gone", func() bool { return len(srv.exits.Since(0)) == 0 })
}
