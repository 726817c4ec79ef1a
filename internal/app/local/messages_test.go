package local

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/knarr-io/knarr/internal/app/join"
	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/network/nettest"
)

// What goes wrong in the first minute ends in a line that says what to do. What
// the machine itself lacks has a table of its own (preflight/messages_test.go),
// and so have registries (runtime/image/registry/advice_test.go).
func TestWhatToDoInTheFirstMinute(t *testing.T) {
	for name, tc := range map[string]struct {
		fail func(t *testing.T, u *upper) error
		want string
	}{
		"no port is free": {noFreePort, `a port for the API: ports 65535 to 65535 are all taken
    what to do: choose another one with --api-port`},
		"data of a newer version": {stateOf(`{"Version": 999}`), `DIR/cluster.json has format 999: the cluster was made by a newer Knarr
    what to do: use that version, or another --data-dir`},
		"damaged data": {stateOf(`{"Version":`), `the cluster's state in DIR/cluster.json is damaged: unexpected end of JSON input
    what to do: restore the file, or start over with ` + "`knarr down --purge`"},
		"other networks than before": {stateOf(`{"Version": 1, "Pods": "10.9.0.0/16", "Services": "10.96.0.0/12", "Domain": "cluster.local"}`),
			`the cluster was made with pod network 10.9.0.0/16, service network 10.96.0.0/12 and domain cluster.local, which cannot change
    what to do: leave these flags out, or start over with ` + "`knarr down --purge`"},
		"another place than it runs in": {func(t *testing.T, u *upper) error {
			runs := t.TempDir()
			if err := errors.Join(os.WriteFile(filepath.Join(runs, "keep.sock"), nil, 0o600),
				os.WriteFile(u.stateFile(), fmt.Appendf(nil, `{"Version": 1, "RunDir": %q, "LogDir": "/logs", "CgroupParent": "/knarr"}`, runs), 0o600)); err != nil {
				t.Fatal(err)
			}
			err := u.whereItRuns()
			if err == nil {
				return nil
			}
			return errors.New(strings.ReplaceAll(err.Error(), runs, "RUN"))
		}, `the cluster in DIR runs with --run-dir RUN, --pod-log-dir /logs and --cgroup-parent /knarr
    what to do: leave these flags out, or stop it with ` + "`knarr down`" + ` first`},
		"another cluster runs": {func(t *testing.T, u *upper) error {
			other := t.TempDir()
			serve := exec.CommandContext(t.Context(), "sh", "-c", "read line", "server", "--data-dir", other)
			input, err := serve.StdinPipe()
			l, err2 := net.Listen("unix", u.keepSocket())
			if err := errors.Join(err, err2, os.WriteFile(filepath.Join(other, "cluster.json"), []byte("{}"), 0o600), serve.Start()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close(); _ = input.Close(); _ = serve.Wait() })
			go func() {
				if conn, err := l.Accept(); err == nil {
					_, _ = bufio.NewReader(conn).ReadString('\n')
					_, _ = fmt.Fprintf(conn, `{"ok": true, "services": [{"name": "server", "state": "running", "pid": %d}]}`+"\n", serve.Process.Pid)
					_ = conn.Close()
				}
			}()
			if err = u.alone(t.Context()); err == nil {
				return nil
			}
			return errors.New(strings.ReplaceAll(err.Error(), other, "OTHER"))
		}, `the cluster in OTHER runs on this machine
    what to do: stop it first with ` + "`knarr down --data-dir OTHER`"},
		"fewer nodes than before": {stateOf(`{"Version": 1, "NodeName": "a", "NodeAddress": "192.0.2.1", "Further": [{"Name": "knarr-node2", "Number": 2}]}`),
			`the cluster has 2 nodes on this machine, --nodes 1 are wanted
    what to do: take one away with ` + "`knarr node rm knarr-node2`" + `, or leave --nodes out`},
		"another up at work": {busy, `another ` + "`knarr up` or `knarr down`" + ` is at work on this cluster
    what to do: wait for it to end`},
		"data in a private folder": {private, `the data cannot lie below DIR/private: only its owner can enter that, and the edge runs as an unprivileged user
    what to do: choose another --data-dir, or chmod o+x DIR/private`},
		"the clock before the cluster's time": {clockBefore, `this machine's clock says TIME, and the cluster's authority began TIME
    what to do: set the clock: timedatectl tells how it stands`},
		"no cluster": {func(_ *testing.T, u *upper) error { _, err := Certificates(u.Settings); return err }, `there is no cluster in DIR
    what to do: bring one up with ` + "`knarr up`"},
		"a pod of no cluster": {func(t *testing.T, u *upper) error {
			_, _, err := ExplainPod(t.Context(), u.Settings, "default", "web")
			return err
		}, `there is no cluster in DIR
    what to do: bring one up with ` + "`knarr up`"},
		"a pod, on a machine that joined": {func(t *testing.T, u *upper) error {
			u.Server = "https://192.0.2.7:6443"
			_, _, err := ExplainPod(t.Context(), u.Settings, "default", "web")
			return err
		}, `this machine is a node of the cluster at https://192.0.2.7:6443
    what to do: run it on the machine of that server`},
		"a server that cannot live": {crashed("level=INFO msg=starting\nknarr: port 10250 is taken\n    what to do: choose another port\nlevel=INFO msg=starting\n"),
			`the server ends again and again: port 10250 is taken
    what to do: choose another port`},
		"a server that dies in silence": {crashed("level=INFO msg=starting\n"), `the server ends again and again: it says nothing
    what to do: look into DIR/log/server.log`},

		"no network": {inNetwork("", func(u *upper) error { _, err := u.FindAddress(); return err }), `the machine has no IPv4 address besides loopback
    what to do: give one with --node-address`},
		"no way to the server": {inNetwork("https://192.0.2.1:6443", func(u *upper) error { _, err := u.FindAddress(); return err }),
			`there is no way to 192.0.2.1: dial udp4 192.0.2.1:9: connect: network is unreachable
    what to do: look at this machine's network, and whether the server's name and address are right`},
		"a server that is no URL": {func(_ *testing.T, u *upper) error { u.Server = "192.0.2.1"; _, err := u.FindAddress(); return err },
			`--server 192.0.2.1: want the URL of the cluster's API, as in https://192.0.2.1:6443`},
		"no token": {joining(func(*upper, *authority) string { return "" }), `this machine has not joined yet: --token is needed
    what to do: make one on the server with ` + "`knarr token create`"},
		"half a token": {joining(func(*upper, *authority) string { return "abcdef.0123456789abcdef" }),
			"--token: that is no token: want what `knarr token create` printed, as in abcdef.0123456789abcdef.(64 hexadecimal digits)"},
		"another cluster's token": {joining(func(*upper, *authority) string {
			return "abcdef.0123456789abcdef." + strings.Repeat("00", 32)
		}), `reach the server at https://ADDRESS: the server is not of the cluster that the token is for: its authority has another fingerprint
    what to do: take the address and the token from the same ` + "`knarr token create`"},
		"an expired token": {joining(func(_ *upper, a *authority) string { return a.token.String() }), `the server does not know the token: it has expired, or was taken back
    what to do: make another one there with ` + "`knarr token create`"},
		"a server that is off": {joining(func(u *upper, a *authority) string { u.Server = "https://127.0.0.1:1"; return a.token.String() }),
			`reach the server at https://ADDRESS: dial tcp ADDRESS: connect: connection refused
    what to do: look whether the server runs (` + "`knarr status`" + ` there), whether the address is right, and whether a firewall lets the port through`},
		"a name that is not the server's": {joiningAt("127.0.0.2", func(_ *upper, a *authority) string { return a.token.String() }), `reach the server at https://ADDRESS: x509: certificate is valid for 127.0.0.1, ::1, 10.96.0.1, not 127.0.0.2
    what to do: use an address or a name of the server that its certificate is for`},
		"a node of another cluster": {stateOfJoiner(`{"Version": 1, "Server": "https://192.0.2.7:6443"}`), `this machine has joined https://192.0.2.7:6443
    what to do: leave that first with ` + "`knarr down --purge`"},
		"a machine with a cluster of its own": {stateOfJoiner(`{"Version": 1}`), `this machine runs a cluster of its own in DIR
    what to do: take it away with ` + "`knarr down --purge`" + `, or choose another --data-dir`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			u := &upper{Settings: Settings{DataDir: dir, RunDir: dir, APIPort: 65535, Count: 1}, logger: slog.New(slog.DiscardHandler), board: progress.New(t.Output(), progress.Plain)}
			err := tc.fail(t, u)
			if err == nil {
				t.Fatal("nothing went wrong")
			}
			if got := timeless(err.Error(), dir); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// timeless takes out of a message what differs from run to run.
func timeless(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "DIR")
	for pattern, word := range map[string]string{`127\.0\.0\.\d:\d+`: "ADDRESS", `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`: "TIME", `\(pid \d+\)`: "(pid N)"} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, word)
	}
	return text
}

func noFreePort(t *testing.T, u *upper) error {
	if l, err := net.Listen("tcp4", ":65535"); err == nil { // else somebody has it, which does as well
		t.Cleanup(func() { _ = l.Close() })
	}
	return u.ports(nil)
}

// A taken port is no failure: the line at the end says who has it.
func TestATakenPortIsToldOf(t *testing.T) {
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	u := &upper{Settings: Settings{DataDir: t.TempDir(), APIPort: port, HTTPPort: 1, HTTPSPort: 2}}
	if err := u.ports(nil); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("port %d is taken by local.test (pid N): the API is on %d", port, u.APIPort)
	if len(u.moved) == 0 || timeless(u.moved[0], t.TempDir()) != want {
		t.Errorf("got %q, want %q", u.moved, want)
	}
}

func stateOf(text string) func(*testing.T, *upper) error {
	return func(t *testing.T, u *upper) error {
		if err := os.WriteFile(u.stateFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "10.9.0.0") {
			u.Pods = netip.MustParsePrefix("10.8.0.0/16")
		}
		u.APIPort, u.HTTPPort, u.HTTPSPort = 1, 2, 3
		return u.decide(nil)
	}
}

func stateOfJoiner(text string) func(*testing.T, *upper) error {
	return func(t *testing.T, u *upper) error {
		if err := os.WriteFile(u.stateFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		u.Server = "https://192.0.2.1:6443"
		return (&joiner{upper: *u}).decide()
	}
}

func busy(t *testing.T, u *upper) error {
	unlock, err := lock(u.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	_, err = lock(u.lockFile())
	return err
}

func private(t *testing.T, u *upper) error {
	data := filepath.Join(u.DataDir, "private", "data")
	if err := errors.Join(os.Chmod(u.DataDir, 0o755), os.Mkdir(filepath.Dir(data), 0o700), os.Mkdir(data, 0o755)); err != nil {
		t.Fatal(err)
	}
	return passable(data)
}

// clockBefore makes an authority now and opens it in the bubble's year 2000.
func clockBefore(t *testing.T, u *upper) (err error) {
	if _, err := pki.Open(pki.Options{Dir: u.PKI(), Logger: u.logger}); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(*testing.T) { _, err = u.certificates() })
	return err
}

func crashed(log string) func(*testing.T, *upper) error {
	return func(t *testing.T, u *upper) error {
		path := filepath.Join(u.logs(), "server.log")
		if err := errors.Join(os.MkdirAll(u.logs(), 0o700), os.WriteFile(path, []byte(log), 0o600)); err != nil {
			t.Fatal(err)
		}
		return crash(serviceServer, path)
	}
}

// inNetwork fails on a machine without any network but loopback.
func inNetwork(server string, f func(*upper) error) func(*testing.T, *upper) error {
	return func(t *testing.T, u *upper) error {
		u.Server = server
		return nettest.New(t).Try(func() error { return f(u) })
	}
}

// authority is a cluster that knows no token, and one that was for it.
type authority struct {
	server *httptest.Server
	token  join.Token
}

func newAuthority(t *testing.T, address string) *authority {
	t.Helper()
	of := pki.Machine{NodeName: "server", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, ClusterDomain: "cluster.local", ServiceAddress: netip.MustParseAddr("10.96.0.1")}
	keys, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := keys.Certificates(of.APIServer())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := certificates[0].ForServerWithCA(nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintln(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`)
	}))}
	_ = a.server.Listener.Close()
	if a.server.Listener, err = net.Listen("tcp4", net.JoinHostPort(address, "0")); err != nil {
		t.Fatal(err)
	}
	a.server.TLS = &tls.Config{Certificates: []tls.Certificate{*shown}}
	a.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	if a.token, err = join.NewToken(keys.ClusterCA().PEM()); err != nil {
		t.Fatal(err)
	}
	return a
}

// joining enrolls at a server with a token.
func joining(token func(*upper, *authority) string) func(*testing.T, *upper) error {
	return joiningAt("127.0.0.1", token)
}

// joiningAt does so at an address, of which the server's certificate has
// 127.0.0.1.
func joiningAt(address string, token func(*upper, *authority) string) func(*testing.T, *upper) error {
	return func(t *testing.T, u *upper) error {
		a := newAuthority(t, address)
		u.Server = a.server.URL
		text := token(u, a)
		j := &joiner{upper: *u, token: text}
		return j.enroll(t.Context())
	}
}
