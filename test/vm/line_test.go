package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/test/vm/wire"
)

// machineAt plays the machine's end of a line: it says what it is given first,
// then answers each script with what answer makes of it.
func machineAt(t *testing.T, first []wire.Message, answer func(wire.Request) []wire.Message) *line {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _ = there.Close() })
	go func() {
		out := json.NewEncoder(there)
		for _, m := range first {
			if out.Encode(m) != nil {
				return
			}
		}
		for in := bufio.NewScanner(there); in.Scan(); {
			var r wire.Request
			if json.Unmarshal(in.Bytes(), &r) != nil {
				return
			}
			messages := answer(r)
			if messages == nil {
				_ = there.Close()
				return
			}
			for _, m := range messages {
				if out.Encode(m) != nil {
					return
				}
			}
		}
	}()
	l := newLine(here)
	t.Cleanup(l.close)
	return l
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestAnswersBelongToTheirScripts(t *testing.T) {
	ctx := bounded(t)
	l := machineAt(t, []wire.Message{{Hello: &wire.Hello{Boot: "a"}}}, func(r wire.Request) []wire.Message {
		if r.Script == "false" {
			return []wire.Message{{ID: r.ID, Code: 1, Output: "no"}}
		}
		late := wire.Message{ID: r.ID - 1, Output: "of another script"}
		return []wire.Message{late, {ID: r.ID, Output: r.Script}}
	})
	if err := l.hello(ctx); err != nil {
		t.Fatal(err)
	}
	if out, err := l.run(ctx, "echo"); err != nil || out != "echo" {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := l.run(ctx, "false"); err == nil || out != "no" || !strings.Contains(err.Error(), "exit code 1: no") {
		t.Errorf("a script that fails: got %q, %v", out, err)
	}
}

func TestAnotherBootSaysHelloAgain(t *testing.T) {
	ctx := bounded(t)
	l := machineAt(t, []wire.Message{{Hello: &wire.Hello{Boot: "a"}}}, func(wire.Request) []wire.Message {
		// What the driver's line still held, and then the new boot.
		return []wire.Message{{Hello: &wire.Hello{Boot: "a"}}, {Hello: &wire.Hello{Boot: "b"}}}
	})
	if err := l.hello(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.send("reboot"); err != nil {
		t.Fatal(err)
	}
	if err := l.hello(ctx); err != nil || l.boot != "b" {
		t.Errorf("boot %q, %v", l.boot, err)
	}
}

func TestAMachineThatIsOffIsAnError(t *testing.T) {
	l := machineAt(t, nil, func(wire.Request) []wire.Message { return nil })
	if _, err := l.run(bounded(t), "poweroff"); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}
