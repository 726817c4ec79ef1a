package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

// qemuAt plays qemu's end of the monitor: it greets, and answers each command
// with the lines that belong to a word in it.
func qemuAt(t *testing.T, answers map[string]string) (*monitor, error) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _ = errors.Join(here.Close(), there.Close()) })
	go func() {
		fmt.Fprintln(there, `{"QMP": {"version": {}, "capabilities": ["oob"]}}`)
		for in := bufio.NewScanner(there); in.Scan(); {
			for word, answer := range answers {
				if strings.Contains(in.Text(), word) {
					fmt.Fprintln(there, answer)
				}
			}
		}
	}()
	return newMonitor(here)
}

func TestWhatTheMonitorIsToldAndTells(t *testing.T) {
	q, err := qemuAt(t, map[string]string{
		"qmp_capabilities": `{"return": {}}`,
		"savevm":           `{"event": "STOP", "data": {}}` + "\n" + `{"event": "RESUME"}` + "\n" + `{"return": ""}`,
		"loadvm":           `{"return": "Error: no snapshot of that name\r\n"}`,
		"nonsense":         `{"error": {"class": "GenericError", "desc": "unknown"}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.command("savevm booted"); err != nil {
		t.Errorf("events come in between: %v", err)
	}
	for line, want := range map[string]string{"loadvm booted": "no snapshot of that name", "nonsense": "unknown"} {
		if err := q.command(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", line, err)
		}
	}
}
