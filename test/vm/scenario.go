package main

import (
	"context"
	"fmt"
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

// result is how a scenario went.
type result struct {
	scenario scenario
	took     time.Duration
	// seen has a line for each step that held.
	seen   []string
	failed error
}

// play boots a machine and goes through the scenario.
func (h host) play(ctx context.Context, s scenario) result {
	began := time.Now()
	r := result{scenario: s}
	m, err := h.start(ctx, s.name)
	if err != nil {
		r.failed = err
		return r
	}
	for _, st := range s.steps {
		start := time.Now()
		seen, err := st.do(ctx, m)
		if err != nil {
			r.failed = fmt.Errorf("%s: %w", st.name, err)
			m.explain(ctx)
			break
		}
		fmt.Printf("  %s: %s (%.0f s)\n", st.name, seen, time.Since(start).Seconds())
		r.seen = append(r.seen, seen)
	}
	if err := m.stop(); err != nil && r.failed == nil {
		r.failed = err
	}
	r.took = time.Since(began)
	return r
}

// explain prints what helps to understand a failure.
func (m *machine) explain(ctx context.Context) {
	out, err := m.run(ctx, `set +e
		for log in /var/lib/knarr/log/*.log; do echo "== $log"; tail -n 25 $log; done
		echo == journal; journalctl -b --no-pager -n 40
		echo == pods; timeout 20 knarr kubectl get pods -A -o wide; timeout 20 knarr kubectl get events -A
		echo == status; timeout 20 knarr status`)
	fmt.Printf("  --- the machine says (%v)\n%s\n", err, tail(out, 16000))
}

// script is a step that succeeds where its script does; what it sees is the
// last line of output.
func script(name, text string) step {
	return step{name: name, do: func(ctx context.Context, m *machine) (string, error) {
		out, err := m.run(ctx, text)
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
		out, err := m.run(ctx, text)
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
