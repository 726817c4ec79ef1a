package logs

import (
	"bytes"
	"time"
)

// record is one line of a log file.
type record struct {
	at     time.Time
	stream []byte
	part   bool   // the line goes on in the next record of the stream
	text   []byte // with its newline, unless part
	stamp  []byte // the time as it was written
}

// parse reads a line of the file, with its newline. ok is false for what is
// no record; a reader skips it.
func parse(line []byte) (r record, ok bool) {
	stamp, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return record{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return record{}, false
	}
	stream, rest, ok := bytes.Cut(rest, []byte{' '})
	if !ok || (string(stream) != "stdout" && string(stream) != "stderr") {
		return record{}, false
	}
	tags, text, ok := bytes.Cut(rest, []byte{' '})
	if !ok {
		return record{}, false
	}
	tag, _, _ := bytes.Cut(tags, []byte{':'})
	part := string(tag) == "P"
	if part {
		text = bytes.TrimSuffix(text, []byte{'\n'})
	}
	return record{at: at, stream: stream, part: part, text: text, stamp: stamp}, true
}
