// Package progress shows the steps of a command with their times: as a list
// that is redrawn on a terminal, as plain lines elsewhere, and as one JSON
// object per line for programs.
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Mode is how steps are shown.
type Mode int

// The modes.
const (
	Plain Mode = iota
	Live
	JSON
)

// Board shows steps, which may run at the same time. It is safe for
// concurrent use.
type Board struct {
	out   io.Writer
	mode  Mode
	start time.Time

	mu    sync.Mutex
	steps []*Step
	drawn int // lines on the terminal that belong to the list
}

// New makes an empty board.
func New(out io.Writer, mode Mode) *Board {
	return &Board{out: out, mode: mode, start: time.Now()}
}

// state is how a step stands.
type state string

const (
	running state = "running"
	done    state = "done"
	failed  state = "failed"
)

// Step is one line of the board.
type Step struct {
	board  *Board
	name   string
	start  time.Time
	took   time.Duration
	state  state
	detail string
}

// Step starts a step.
func (b *Board) Step(name string) *Step {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &Step{board: b, name: name, start: time.Now(), state: running}
	b.steps = append(b.steps, s)
	if b.mode == Live {
		b.drawLocked()
	}
	return s
}

// Done ends a step well; detail may be empty.
func (s *Step) Done(detail string) { s.end(done, detail) }

// End ends a step by an error, or well where it is nil, and hands it on.
func (s *Step) End(err error) error {
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		s.end(failed, first)
	} else {
		s.end(done, "")
	}
	return err
}

func (s *Step) end(st state, detail string) {
	b := s.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.state != running {
		return
	}
	s.state, s.detail, s.took = st, detail, time.Since(s.start)
	switch b.mode {
	case Live:
		b.drawLocked()
	case JSON:
		b.jsonLocked(map[string]any{"step": s.name, "state": s.state, "detail": s.detail, "milliseconds": milliseconds(s.took), "atMilliseconds": milliseconds(time.Since(b.start))})
	default:
		fmt.Fprintln(b.out, s.line())
	}
}

// Say prints a line below the list; programs get it as a message.
func (b *Board) Say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if b.mode == JSON {
		b.jsonLocked(map[string]any{"message": text})
		return
	}
	b.drawn = 0
	b.steps = nil
	fmt.Fprintln(b.out, text)
}

// Result gives programs a final object; people read Say.
func (b *Board) Result(v map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mode == JSON {
		b.jsonLocked(v)
	}
}

// Took is the time since the board was made.
func (b *Board) Took() time.Duration { return time.Since(b.start) }

func (b *Board) jsonLocked(v map[string]any) {
	line, err := json.Marshal(v)
	if err != nil {
		return // maps of plain values always encode
	}
	fmt.Fprintf(b.out, "%s\n", line)
}

// drawLocked draws the whole list over what was drawn before.
func (b *Board) drawLocked() {
	var text strings.Builder
	columns := b.columns()
	if b.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", b.drawn)
	}
	for _, s := range b.steps {
		text.WriteString("\x1b[2K" + fit(s.line(), columns) + "\n")
	}
	b.drawn = len(b.steps)
	fmt.Fprint(b.out, text.String())
}

// columns is how wide the terminal is; 0 where there is none.
func (b *Board) columns() int {
	f, ok := b.out.(*os.File)
	if !ok {
		return 0
	}
	wide, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return wide
}

// fit cuts a line that is wider than the terminal: one that wraps would be two
// to draw over.
func fit(line string, columns int) string {
	runes := []rune(line)
	if columns <= 0 || len(runes) <= columns {
		return line
	}
	return string(runes[:columns-1]) + "…"
}

// nameWidth lines the times up.
const nameWidth = 24

func (s *Step) line() string {
	switch s.state {
	case running:
		return fmt.Sprintf("  …  %-*s", nameWidth, s.name)
	case failed:
		return fmt.Sprintf("  ✗  %-*s %8s  %s", nameWidth, s.name, Short(s.took), s.detail)
	default:
		return strings.TrimRight(fmt.Sprintf("  ✓  %-*s %8s  %s", nameWidth, s.name, Short(s.took), s.detail), " ")
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Short writes a duration as people read it: 7 ms, 1.24 s.
func Short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
