package main

import (
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// monitorTime bounds a command: one writes or reads the machine's memory.
const monitorTime = 10 * time.Minute

// monitor is qemu's own line (QMP), by which a machine is kept as it is and
// brought back to that. One command runs at a time.
type monitor struct {
	conn net.Conn
	in   *json.Decoder
}

// newMonitor agrees with qemu on what the line can do: nothing optional.
func newMonitor(conn net.Conn) (*monitor, error) {
	q := &monitor{conn: conn, in: json.NewDecoder(conn)}
	var greeting struct{ QMP json.RawMessage }
	if err := q.in.Decode(&greeting); err != nil {
		return nil, fmt.Errorf("qemu's monitor does not greet: %w", err)
	}
	_, err := q.execute("qmp_capabilities", nil)
	return q, err
}

// command runs one of the monitor's commands for people, which print something
// only where they fail.
func (q *monitor) command(line string) error {
	answer, err := q.execute("human-monitor-command", map[string]string{"command-line": line})
	if err != nil {
		return err
	}
	var text string
	if err := json.Unmarshal(answer, &text); err != nil || text != "" {
		return fmt.Errorf("qemu, asked to %s: %s", line, answer)
	}
	return nil
}

func (q *monitor) execute(name string, arguments any) (json.RawMessage, error) {
	request := struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{name, arguments}
	if err := q.conn.SetDeadline(time.Now().Add(monitorTime)); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		return nil, fmt.Errorf("ask qemu to %s: %w", name, err)
	}
	for {
		var m struct {
			Event  string
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := q.in.Decode(&m); err != nil {
			return nil, fmt.Errorf("qemu does not answer to %s: %w", name, err)
		}
		switch {
		case m.Event != "": // nobody waits for one
		case m.Error != nil:
			return nil, fmt.Errorf("qemu refuses to %s: %s", name, m.Error.Desc)
		default:
			return m.Return, nil
		}
	}
}
