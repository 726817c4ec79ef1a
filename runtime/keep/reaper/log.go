// Package reaper records how orphans ended. A Log owns its file; records in it
// survive keep, and are appended before the orphan is reaped, so that no exit
// is lost between the kernel and the file.
package reaper

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

// maxRecords bounds the log: the oldest record goes first.
const maxRecords = 65536

// line is one entry of the file: an exit or the forgetting of one.
type line struct {
	Exit   *wire.Exit `json:"exit,omitempty"`
	Forget *proc.ID   `json:"forget,omitempty"`
}

// Log is the list of exit records. It is safe for concurrent use.
type Log struct {
	path string

	mu    sync.Mutex
	file  *os.File
	exits []wire.Exit
	seq   uint64
	waste int  // lines of the file that no live record needs
	torn  bool // the file lacks a line, or has half of one
	subs  map[chan struct{}]struct{}
}

// Open reads the log in dir, or starts one. Torn lines are passed over. On a
// full disk it goes on from memory, and is written when there is room.
func Open(dir string) (*Log, error) {
	l := &Log{path: filepath.Join(dir, "exits"), subs: map[chan struct{}]struct{}{}}
	data, err := os.ReadFile(l.path)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("exit log: %w", err)
	}
	l.replay(data)
	err = l.compactLocked()
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		l.torn, err = true, nil
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) replay(data []byte) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var e line
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if e.Exit != nil {
			l.exits = append(l.exits, *e.Exit)
			l.seq = max(l.seq, e.Exit.Seq)
		}
		if e.Forget != nil {
			l.removeLocked(*e.Forget)
		}
	}
}

// compactLocked writes the live records to a new file in place of the old one.
func (l *Log) compactLocked() error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for i := range l.exits {
		if err := enc.Encode(line{Exit: &l.exits[i]}); err != nil {
			return err
		}
	}
	tmp := l.path + ".new"
	if err := os.WriteFile(tmp, buf.Bytes(), 0o600); err != nil {
		return fmt.Errorf("exit log: %w", err)
	}
	if err := os.Rename(tmp, l.path); err != nil {
		return fmt.Errorf("exit log: %w", err)
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("exit log: %w", err)
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.waste, l.torn = file, 0, false
	return nil
}

// Append records e under the next sequence number. A record that could not be
// written is still served from memory, and the error says why.
func (l *Log) Append(e wire.Exit) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	l.exits = append(l.exits, e)
	if n := len(l.exits) - maxRecords; n > 0 {
		l.exits = append([]wire.Exit(nil), l.exits[n:]...)
		l.waste += n
	}
	for sub := range l.subs {
		select {
		case sub <- struct{}{}:
		default:
		}
	}
	return l.writeLocked(line{Exit: &e})
}

// Forget drops the record of id, if there is one.
func (l *Log) Forget(id proc.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.removeLocked(id) {
		return nil
	}
	return l.writeLocked(line{Forget: &id})
}

func (l *Log) removeLocked(id proc.ID) bool {
	for i, e := range l.exits {
		if e.PID == id.PID && e.StartTime == id.StartTime {
			l.exits = append(l.exits[:i], l.exits[i+1:]...)
			l.waste += 2
			return true
		}
	}
	return false
}

func (l *Log) writeLocked(e line) error {
	if l.torn || l.waste > 1024 && l.waste > len(l.exits) {
		return l.compactLocked()
	}
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = l.file.Write(append(data, '\n'))
	l.torn = err != nil
	return err
}

// Since returns the records above seq, oldest first.
func (l *Log) Since(seq uint64) []wire.Exit {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.exits)
	for i > 0 && l.exits[i-1].Seq > seq {
		i--
	}
	return append([]wire.Exit(nil), l.exits[i:]...)
}

// Subscribe returns a channel that becomes readable after records were
// appended, and what ends the subscription.
func (l *Log) Subscribe() (<-chan struct{}, func()) {
	sub := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[sub] = struct{}{}
	return sub, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs, sub)
	}
}
