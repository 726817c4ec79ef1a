package keep_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/client"
	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
	"github.com/knarr-io/knarr/runtime/test/built"
)

// node is a running knarr-keep of its own.
type node struct {
	t      *testing.T
	bin    string
	dir    string
	cmd    *exec.Cmd
	client *client.Client
}

func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "knarr-keep")
	cmd := exec.Command("go", "build", "-o", bin, "../cmd/knarr-keep")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := built.From(".", "../cmd/knarr-keep", "../proc"); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

func startNode(t *testing.T) *node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("knarr-keep runs as root only: run this test as root")
	}
	n := &node{t: t, bin: build(t), dir: t.TempDir()}
	n.run()
	t.Cleanup(n.kill)
	return n
}

func (n *node) socket() string { return filepath.Join(n.dir, "keep.sock") }

func (n *node) run() {
	n.t.Helper()
	n.cmd = exec.Command(n.bin, "--socket", n.socket(), "--state", n.dir)
	n.cmd.Stderr = os.Stderr
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.client = client.New(n.socket())
	n.wait("keep answers", func() bool { _, err := n.client.List(); return err == nil })
}

func (n *node) kill() {
	if services, err := n.client.List(); err == nil {
		for _, s := range services {
			_ = n.client.Stop(s.Name, time.Second)
		}
	}
	n.client.Close()
	_ = n.cmd.Process.Kill()
	_, _ = n.cmd.Process.Wait()
}

func (n *node) wait(what string, ok func() bool) {
	n.t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			n.t.Fatalf("timed out: %s", what)
		case <-tick.C:
		}
	}
}

func (n *node) service(name string) wire.Status {
	n.t.Helper()
	all, err := n.client.List()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	return wire.Status{}
}

func (n *node) start(s wire.Service) bool {
	n.t.Helper()
	existing, err := n.client.Start(s)
	if err != nil {
		n.t.Fatal(err)
	}
	return existing
}

func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestServiceIsRestartedAndItsSocketsStayOpen(t *testing.T) {
	n := startNode(t)
	sock := filepath.Join(n.dir, "listen.sock")
	spec := wire.Service{Name: "svc", Argv: shell("echo $$ $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES; [ -S /proc/self/fd/3 ] && echo inherited; exec sleep 1000"),
		Env: []string{"PATH=/bin:/usr/bin"}, Log: filepath.Join(n.dir, "log"),
		Listen: []wire.Socket{{Name: "api", Network: "unix", Address: sock}}}
	if n.start(spec) {
		t.Fatal("a new service was said to exist")
	}
	if !n.start(spec) {
		t.Fatal("the same spec was started again")
	}
	inherited := func() int { data, _ := os.ReadFile(spec.Log); return strings.Count(string(data), "inherited") }
	n.wait("log of the first run", func() bool { return inherited() == 1 })
	first := n.service("svc")
	id := proc.ID{PID: first.PID, StartTime: first.StartTime}
	if err := id.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.wait("restart", func() bool {
		s := n.service("svc")
		return s.State == wire.StateRunning && s.PID != first.PID && s.Restarts == 1 && s.LastExit.Signal == 9
	})
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatalf("socket closed over the restart: %v", err)
	}
	c.Close()
	n.wait("log of both runs", func() bool { return inherited() == 2 })
	checkListenPID(t, spec.Log)
}

func checkListenPID(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if w := strings.Fields(lines.Text()); len(w) == 4 && (w[0] != w[1] || w[2] != "1" || w[3] != "api") {
			t.Errorf("socket variables: %q", lines.Text())
		}
	}
}

func TestChangedSpecReplaces(t *testing.T) {
	n := startNode(t)
	n.start(wire.Service{Name: "svc", Argv: shell("exec sleep 1000"), Env: []string{"PATH=/bin"}})
	before := n.service("svc").PID
	n.start(wire.Service{Name: "svc", Argv: shell("exec sleep 1001"), Env: []string{"PATH=/bin"}})
	if after := n.service("svc"); after.PID == before || after.State != wire.StateRunning {
		t.Fatalf("not replaced: %+v", after)
	}
	if err := n.client.Stop("svc", time.Second); err != nil {
		t.Fatal(err)
	}
	if s := n.service("svc"); s.Name != "" {
		t.Fatalf("still there: %+v", s)
	}
	var refused *wire.Error
	if err := n.client.Stop("svc", 0); !errors.As(err, &refused) || refused.Code != wire.CodeNotFound {
		t.Fatalf("second stop: %v", err)
	}
}

func TestStartErrorsAreNamed(t *testing.T) {
	n := startNode(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, tc := range []struct {
		code string
		spec wire.Service
	}{
		{"EADDRINUSE", wire.Service{Name: "a", Argv: shell(""), Listen: []wire.Socket{{Name: "x", Network: "tcp", Address: ln.Addr().String()}}}},
		{wire.CodeInvalid, wire.Service{Name: "b", Argv: []string{"/no/such/program"}}},
		{wire.CodeInvalid, wire.Service{Name: "c", Argv: []string{"relative"}}},
		{wire.CodeInvalid, wire.Service{Name: "d"}},
	} {
		_, err := n.client.Start(tc.spec)
		var refused *wire.Error
		if !errors.As(err, &refused) || refused.Code != tc.code {
			t.Errorf("%s: %v, want code %s", tc.spec.Name, err, tc.code)
		}
	}
	if all, _ := n.client.List(); len(all) != 0 {
		t.Errorf("failed services are listed: %+v", all)
	}
}

func TestPrivilegesAreDropped(t *testing.T) {
	n := startNode(t)
	log := filepath.Join(n.dir, "log")
	n.start(wire.Service{Name: "svc", Argv: shell("grep -E '^(Uid|Gid|Groups|CapAmb|CapEff)' /proc/self/status; exec sleep 1000"),
		Env: []string{"PATH=/bin"}, UID: 4321, GID: 4322, Groups: []int{4323}, AmbientCaps: []int{unix.CAP_NET_BIND_SERVICE}, Log: log})
	for _, want := range []string{"Uid:\t4321\t4321\t4321\t4321", "Gid:\t4322\t4322\t4322\t4322", "Groups:\t4323",
		"CapAmb:\t0000000000000400", "CapEff:\t0000000000000400"} {
		n.wait(want, func() bool { data, _ := os.ReadFile(log); return strings.Contains(string(data), want) })
	}
}

func TestOrphansAreRecordedUntilForgotten(t *testing.T) {
	n := startNode(t)
	fifo := filepath.Join(n.dir, "go")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	n.start(wire.Service{Name: "svc", Restart: wire.RestartNever, Env: []string{"PATH=/bin"},
		Argv: shell("sh -c 'read x < " + fifo + "; exit 42' & exit 0")})
	n.wait("parent is gone", func() bool { return n.service("svc").State == wire.StateStopped })
	if err := os.WriteFile(fifo, []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	var last wire.Exit
	n.wait("exit record", func() bool {
		for _, e := range n.recorded() {
			last = e
		}
		return last.PID != 0
	})
	if last.ExitCode != 42 || last.StartTime == 0 {
		t.Fatalf("exit: %+v", last)
	}
	n.restartByKill()
	if got := n.recorded(); len(got) != 1 || got[0].PID != last.PID {
		t.Fatalf("records after a restart: %+v", got)
	}
	if err := n.client.Forget(proc.ID{PID: last.PID, StartTime: last.StartTime}); err != nil {
		t.Fatal(err)
	}
	if got := n.recorded(); len(got) != 0 {
		t.Fatalf("records after forget: %+v", got)
	}
}

// recorded returns the records that exist now.
func (n *node) recorded() []wire.Exit {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all []wire.Exit
	_ = n.client.Exits(ctx, func(e wire.Exit) { all = append(all, e) }, cancel)
	return all
}

func (n *node) restartByKill() {
	n.t.Helper()
	n.client.Close()
	_ = n.cmd.Process.Kill()
	_, _ = n.cmd.Process.Wait()
	n.run()
}

func TestLeftoverOfAKilledKeepIsReplaced(t *testing.T) {
	n := startNode(t)
	spec := wire.Service{Name: "svc", Argv: shell("exec sleep 1000"), Env: []string{"PATH=/bin"}}
	n.start(spec)
	s := n.service("svc")
	old := proc.ID{PID: s.PID, StartTime: s.StartTime}
	n.restartByKill()
	if !old.Alive() {
		t.Fatal("the service died with keep")
	}
	n.start(spec)
	if old.Alive() {
		t.Fatal("two of one service run")
	}
}

func TestHeldDescriptorsSurviveAReexec(t *testing.T) {
	n := startNode(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.client.Hold("pipe", []int{int(r.Fd())}); err != nil {
		t.Fatal(err)
	}
	r.Close()
	n.start(wire.Service{Name: "svc", Argv: shell("exec sleep 1000"), Env: []string{"PATH=/bin"}})
	before := n.service("svc")
	_, _, _ = n.client.Do(wire.Request{Op: wire.OpReexec, Path: n.bin}, nil)
	n.wait("answers after reexec", func() bool { _, err := n.client.List(); return err == nil })
	if after := n.service("svc"); after.PID != before.PID || after.State != wire.StateRunning {
		t.Fatalf("service changed: %+v", after)
	}
	if _, err := w.WriteString("kept"); err != nil {
		t.Fatalf("the read end closed: %v", err)
	}
	w.Close()
	files, err := n.client.Take("pipe")
	if err != nil || len(files) != 1 {
		t.Fatalf("take: %v, %v", files, err)
	}
	defer files[0].Close()
	buf := make([]byte, 8)
	if got, _ := files[0].Read(buf); string(buf[:got]) != "kept" {
		t.Fatalf("read %q", buf[:got])
	}
	if err := n.client.Drop("pipe"); err != nil {
		t.Fatal(err)
	}
	if held, _ := n.client.Holds(); len(held) != 0 {
		t.Fatalf("still held: %v", held)
	}
	killed := proc.ID{PID: before.PID, StartTime: before.StartTime}
	if err := killed.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.wait("the new keep restarts", func() bool { s := n.service("svc"); return s.PID != before.PID && s.State == wire.StateRunning })
}

func TestGarbageIsRefused(t *testing.T) {
	n := startNode(t)
	for _, line := range []string{"nonsense", `{"op":"nonsense"}`, `{"op":"hold","key":"k"}`, `{"op":"hold","key":"k","fds":3}`, `{"op":"start"}`} {
		c, err := net.Dial("unix", n.socket())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
		answer, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.Contains(answer, `"error"`) {
			t.Errorf("%s: %q, %v", line, answer, err)
		}
		c.Close()
	}
	c, err := net.Dial("unix", n.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	junk := make([]byte, 1<<16)
	for range 64 {
		if _, err := c.Write(junk); err != nil {
			break
		}
	}
	if _, err := n.client.List(); err != nil {
		t.Fatalf("keep is gone after an endless line: %v", err)
	}
}

func TestTermStopsServices(t *testing.T) {
	n := startNode(t)
	n.start(wire.Service{Name: "svc", Argv: shell("exec sleep 1000"), Env: []string{"PATH=/bin"}})
	s := n.service("svc")
	id := proc.ID{PID: s.PID, StartTime: s.StartTime}
	if err := n.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if id.Alive() {
		t.Error("a service outlived keep's orderly end")
	}
}

// Clients without number take all descriptors that keep may have: it turns them
// away, and does not end, with which it would let go of what it holds.
func TestTooManyClientsEndNothing(t *testing.T) {
	const most = 24
	n := startNode(t)
	pid := n.cmd.Process.Pid
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		t.Fatal(err)
	}
	var crowd []net.Conn
	for range 2 * most {
		c, err := net.Dial("unix", n.socket())
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, c)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = n.cmd.Process.Wait()
	}()
	n.wait("keep has all that it may have, or is gone", func() bool {
		for fd := range most {
			if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err != nil {
				return unix.Kill(pid, 0) != nil
			}
		}
		return true
	})
	answered := make(chan error, 1)
	go func() {
		_, err := client.New(n.socket()).List()
		answered <- err
	}()
	for _, c := range crowd {
		c.Close()
	}
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-gone:
		t.Error("keep has ended")
	}
}
