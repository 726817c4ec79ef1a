package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// scenario is a machine of some kind and what is done on it, in order. After a
// step that fails the rest is left out.
type scenario struct {
	name string
	// about says what is unusual about the machine.
	about string
	steps []step
}

// step does one thing and says in a line what was seen, or what is wrong.
type step struct {
	name string
	do   func(context.Context, *machine) (string, error)
}

// result is how a scenario went last.
type result struct {
	// Program is the version that was tried.
	Program string
	Took    time.Duration
	// Load is how many processes wanted the host's processors meanwhile.
	Load float64
	// Seen has what each step saw that held, in order.
	Seen []seen
	// Failed is what a step did not find; empty where all held.
	Failed string
}

type seen struct{ Step, What string }

// play goes through the scenario on a fresh machine.
func (h *host) play(ctx context.Context, s scenario) result {
	began := time.Now()
	r := result{Program: h.program}
	m, err := h.fresh(ctx)
	if err != nil {
		r.Failed = err.Error()
		return r
	}
	for _, st := range s.steps {
		start := time.Now()
		what, err := st.do(ctx, m)
		if err != nil {
			r.Failed = fmt.Sprintf("%s: %v", st.name, err)
			m.explain(ctx, s.name)
			break
		}
		fmt.Printf("  %s: %s (%.0f s)\n", st.name, what, time.Since(start).Seconds())
		r.Seen = append(r.Seen, seen{st.name, what})
	}
	r.Took, r.Load = time.Since(began), load()
	return r
}

// load is the host's over the last minutes (proc(5), /proc/loadavg).
func load() (now float64) {
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscanf(string(text), "%f %f", new(float64), &now)
	}
	return now
}

// explain puts what helps to understand a failure into a file beside the
// console, and prints its end.
func (m *machine) explain(ctx context.Context, name string) {
	out, err := m.run(ctx, `set +e
		echo == network; ip addr; ip route; nft -s list ruleset
		echo == processes; ps -eo pid,stat,etimes,time,args --sort=-time | head -n 40; cat /proc/loadavg; df -h /
		echo == pods; timeout 60 knarr kubectl get pods -A -o wide; timeout 60 knarr kubectl get events -A
		echo == status; timeout 60 knarr status
		echo == journal; journalctl -b --no-pager -n 400
		for log in /var/lib/knarr/log/*.log; do echo "== $log"; tail -n 60 $log; done`)
	file := filepath.Join(m.dir, strings.ReplaceAll(name, " ", "-")+".failed")
	if writeErr := os.WriteFile(file, []byte(out), 0o644); writeErr != nil {
		err = errors.Join(err, writeErr)
	}
	fmt.Printf("  --- the machine says (%v; all of it is in %s)\n%s\n", err, file, tail(out, 8000))
}

// prelude is what scripts are written with:
//
//   - await SECONDS COMMAND repeats it until it succeeds, and shows the last
//     try. Its bounds are for an emulated machine whose host is busy;
//   - told FIELD is what the last up told of itself, in /root/up.json;
//   - fetch, outside and inpod reach a URL from the machine, from the world
//     beyond its link, and from the example's pod.
const prelude = `
await() {
	local last end=$((SECONDS + $1)); shift
	until last=$("$@" 2>&1); do
		((SECONDS < end)) || { echo "$* did not succeed: $last"; return 1; }
		sleep 1
	done
	printf '%s\n' "$last"
}
told() { tail -n 1 /root/up.json | sed -nE "s/.*\"$1\":\"?([^,\"}]*)\"?.*/\1/p"; }
address() { ip -4 -o addr show dev eth0 | awk '{sub("/.*", "", $4); print $4; exit}'; }
fetch() { curl --silent --show-error --fail --max-time 60 "$@"; }
outside() { nsenter --net=/run/netns/outside curl --silent --show-error --fail --max-time 60 "$@"; }
inpod() { knarr kubectl -n hello exec deployment/hello -- /hello fetch "$1"; }
says() { local word=$1; shift; "$@" | grep "$word"; }
`

// script is a step that succeeds where its script does; what it sees is the
// last line of output.
func script(name, text string) step {
	return step{name: name, do: func(ctx context.Context, m *machine) (string, error) {
		out, err := m.run(ctx, prelude+text)
		return lastLine(out), err
	}}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// refused is a step whose script must fail, with all of the words.
func refused(name, text string, words ...string) step {
	return step{name: name, do: func(ctx context.Context, m *machine) (string, error) {
		out, err := m.run(ctx, prelude+text)
		if err == nil {
			return "", fmt.Errorf("it was let through: %s", out)
		}
		for _, w := range words {
			if !strings.Contains(out, w) {
				return "", fmt.Errorf("the refusal does not say %q: %s", w, out)
			}
		}
		return lastLine(out), nil
	}}
}

// reboot restarts the machine, in order or as a power cut does.
func reboot(name, text string) step {
	return step{name: name, do: func(ctx context.Context, m *machine) (string, error) {
		began := time.Now()
		if err := m.send(text); err != nil {
			return "", err
		}
		if err := m.awaitBoot(ctx); err != nil {
			return "", err
		}
		return fmt.Sprintf("booted again in %.0f s", time.Since(began).Seconds()), nil
	}}
}
