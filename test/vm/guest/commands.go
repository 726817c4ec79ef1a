package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/knarr-io/knarr/test/vm/wire"
)

// commands takes scripts from the line until it ends.
func commands() error {
	line, err := os.OpenFile("/dev/virtio-ports/"+wire.Port, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	out := json.NewEncoder(line)
	if err := out.Encode(wire.Message{Hello: &wire.Hello{Boot: strings.TrimSpace(string(boot))}}); err != nil {
		return err
	}
	in := bufio.NewReader(line)
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("read the line: %w", err)
		}
		var request wire.Request
		if json.Unmarshal(text, &request) != nil || request.ID == 0 {
			continue // the rest of a line that was sent before this boot
		}
		if err := out.Encode(execute(request)); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// execute runs a script. What it leaves in the background may hold its output
// open: that is waited for a moment only.
func execute(r wire.Request) wire.Message {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Seconds)*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-ec", r.Script)
	cmd.WaitDelay = time.Second
	cmd.Dir = "/root"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	answer := wire.Message{ID: r.ID, Code: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		fmt.Fprintf(&out, "\nkilled after %d s", r.Seconds)
	} else if err != nil && !errors.As(err, new(*exec.ExitError)) && !errors.Is(err, exec.ErrWaitDelay) {
		fmt.Fprintln(&out, err)
	}
	text := out.Bytes()
	if len(text) > wire.MaxOutput {
		text = text[len(text)-wire.MaxOutput:]
	}
	answer.Output = string(text)
	return answer
}
