package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// chatty counts on standard output and repeats what it is told.
const chatty = `apiVersion: v1
kind: Pod
metadata:
  name: chatty
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.35
    stdin: true
    stdinOnce: true
    command: [sh, -c, "for i in 1 2 3 4 5; do echo line $i; done; while read word; do echo heard $word; done; echo closed"]
`

func TestKubectlLogsAndAttach(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		s.Apply(t, chatty)
		s.Ready(t, "chatty")
		follow := k.Start(t, "logs", "-f", "chatty")
		follow.Await(t, "line 5")
		is(t, k.Run(t, "logs", "chatty", "--tail=2"), "line 4\nline 5")
		hasWords(t, k.Run(t, "logs", "chatty", "--since=1h", "--limit-bytes=6"), "line 1")
		if line := strings.SplitN(k.Run(t, "logs", "chatty", "--timestamps"), "\n", 2)[0]; !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\S+Z line 1$`).MatchString(line) {
			t.Errorf("a line with its time is %q", line)
		}
		hasWords(t, k.With(t, "ahoy\n", nil, "attach", "-i", "chatty"), "heard ahoy")
		follow.Await(t, "heard ahoy")
		follow.Await(t, "closed")
		k.Run(t, "wait", "pod/chatty", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=4m")
		hasWords(t, k.Run(t, "logs", "chatty", "--previous"), "heard ahoy", "closed")
		k.Fails(t, []string{`container nobody is not valid for pod chatty`}, "logs", "chatty", "-c", "nobody")
	})
}

func TestKubectlExec(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		s.Apply(t, sleeper("box"))
		s.Ready(t, "box")
		is(t, k.Run(t, "exec", "box", "--", "echo", "a  b", "$HOME"), "a  b $HOME")
		is(t, k.With(t, "one\ntwo\n", nil, "exec", "-i", "box", "--", "wc", "-l"), "2")
		if out := k.Try(t, "exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7"); out.Code != 7 || out.Stdout != "out\n" || !strings.HasPrefix(out.Stderr, "err\n") {
			t.Errorf("exit code, standard output and error: %s", out)
		}
		k.Fails(t, []string{"not-there"}, "exec", "box", "--", "not-there")
		onTerminal(t, k)
	})
}

// onTerminal works in a shell in the pod as a person does.
func onTerminal(t *testing.T, k harness.Kubectl) {
	term := k.Terminal(t, "exec", "-it", "box", "--", "sh")
	term.Await(t, "# ")
	term.Resize(t, 101, 33)
	term.Type(t, "test -t 0 && echo it-is-a-$((40+2))-terminal\n")
	term.Await(t, "it-is-a-42-terminal")
	term.Type(t, "until busybox stty size | grep '33 101'; do sleep 0.1; done; echo resi''zed\n")
	term.Await(t, "resized")
	term.Type(t, "sh -c 'echo slee\"\"ping; exec sleep 1000'\n") // who says it is what Ctrl-C ends
	term.Await(t, "sleeping")
	term.Type(t, "\x03")
	term.Type(t, "echo inter''rupted; exit 3\n")
	term.Await(t, "interrupted")
	if err := term.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("the shell on the terminal ended with %v, not 3", err)
	}
}

func TestKubectlCopiesBothWays(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		s.Apply(t, sleeper("box"))
		s.Ready(t, "box")
		dir := t.TempDir()
		text := strings.Repeat("all hands on deck\n", 100_000)
		if err := os.MkdirAll(filepath.Join(dir, "cargo", "hold"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cargo", "hold", "text"), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		k.Run(t, "cp", filepath.Join(dir, "cargo"), "box:/tmp/cargo")
		is(t, k.Run(t, "exec", "box", "--", "wc", "-c", "/tmp/cargo/hold/text"), fmt.Sprintf("%d /tmp/cargo/hold/text", len(text)))
		k.Run(t, "cp", "box:/tmp/cargo/hold/text", filepath.Join(dir, "back"))
		if back, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || string(back) != text {
			t.Errorf("what came back has %d bytes of %d (%v)", len(back), len(text), err)
		}
	})
}

// Ctrl-C ends what would go on, also where it heeds no signal by itself.
func TestKubectlEndsWhenInterrupted(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		s.Apply(t, sleeper("box"))
		s.Ready(t, "box")
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		for begun, args := range map[string][]string{
			"Starting to serve": {"proxy", "--port=0"},
			"aboard":            {"exec", "box", "--", "sh", "-c", "echo aboard; sleep 1000"},
		} {
			command := k.Start(t, args...)
			command.Await(t, begun)
			command.Signal(t, os.Interrupt)
			if err := command.Wait(ctx); ctx.Err() != nil {
				t.Errorf("after Ctrl-C: %v", err)
			}
		}
	})
}

func TestKubectlForwardsPorts(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		k.Run(t, "create", "deployment", "web", "--image="+nginx, "--port=80")
		k.Run(t, "expose", "deployment", "web", "--port=8080", "--target-port=80")
		k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m")
		serves(t, k, "Welcome to nginx!")
		for _, target := range []string{"deployment/web :80", "service/web :8080"} {
			what, port, _ := strings.Cut(target, " ")
			forward := k.Start(t, "port-forward", what, port)
			forward.Await(t, "Forwarding from 127.0.0.1:")
			local := regexp.MustCompile(`127\.0\.0\.1:(\d+)`).FindStringSubmatch(forward.Output())[1]
			client := harness.Browser(cluster.Machine.Dial, false)
			client.Timeout = harness.Patience
			for range 20 {
				page, err := harness.Fetch(t.Context(), client, "http://127.0.0.1:"+local, "")
				if err != nil || !strings.Contains(page, "Welcome to nginx!") {
					t.Fatalf("through port-forward to %s: %q %v\n%s", what, page, err, forward.Output())
				}
			}
			forward.Stop()
		}
	})
}
