package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/knarr-io/knarr/test/vm/wire"
)

// line is the serial line to a machine. One script runs at a time.
type line struct {
	conn     net.Conn
	messages chan wire.Message // closed when the line breaks
	id       int
	boot     string
}

func newLine(conn net.Conn) *line {
	l := &line{conn: conn, messages: make(chan wire.Message, 1)}
	go func() {
		defer close(l.messages)
		for in := bufio.NewReader(conn); ; {
			text, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			var m wire.Message
			if json.Unmarshal(text, &m) == nil {
				l.messages <- m
			}
		}
	}()
	return l
}

// close breaks the line.
func (l *line) close() {
	_ = l.conn.Close()
	for range l.messages { // so that its reader ends
	}
}

var errBroken = errors.New("the machine's line broke: it is off")

// hello waits for the first word of a boot that was not seen yet.
func (l *line) hello(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, ok := <-l.messages:
			if !ok {
				return errBroken
			}
			if m.Hello != nil && m.Hello.Boot != l.boot {
				l.boot = m.Hello.Boot
				return nil
			}
		}
	}
}

// scriptTime bounds a script in the machine, whose own waits are shorter.
const scriptTime = 20 * time.Minute

// run executes a script as root and returns what it printed. It is an error if
// the script fails.
func (l *line) run(ctx context.Context, script string) (string, error) {
	l.id++
	request := wire.Request{ID: l.id, Script: script, Seconds: int(scriptTime.Seconds())}
	if err := json.NewEncoder(l.conn).Encode(request); err != nil {
		return "", fmt.Errorf("send a script: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, scriptTime+time.Minute)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the machine does not answer: %w", ctx.Err())
		case m, ok := <-l.messages:
			switch {
			case !ok:
				return "", errBroken
			case m.ID != request.ID:
				continue
			case m.Code != 0:
				return m.Output, fmt.Errorf("exit code %d: %s", m.Code, m.Output)
			}
			return m.Output, nil
		}
	}
}

// send starts a script that ends the line's other end.
func (l *line) send(script string) error {
	l.id++
	return json.NewEncoder(l.conn).Encode(wire.Request{ID: l.id, Script: script, Seconds: int(scriptTime.Seconds())})
}
