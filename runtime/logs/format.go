// Package logs writes containers' output to log files in the format of CRI,
// and loses nothing and repeats nothing when the runtime is killed at any
// moment.
//
// What a container writes waits in a pipe that knarr-keep holds open. The
// kernel moves it from the pipe into a staging file on a tmpfs (splice(2)): a
// process that is killed in the call still finishes it, so a byte is either in
// the pipe or in the file. From the file it is formatted into the log, and then
// one small write to a journal says: the log has this size and contains the
// staging files up to these offsets. After a kill the log is cut back to the
// size in the journal and what follows in the staging files is written again.
// The journal is the only commit point, and one write to a tmpfs page is whole
// or absent to a killed process. After a power cut the tmpfs is gone, and with
// it the containers.
package logs

import (
	"bytes"
	"time"
)

// MaxLine is the longest piece of a line in one entry, in bytes; longer lines
// are written in parts, as containerd does by default.
const MaxLine = 16 << 10

// Stream is which output an entry comes from.
type Stream string

// The streams.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Format appends entries for data to dst in CRI's format, "time stream tag
// text", and returns dst and how much of data it used. A piece without newline
// that may grow stays unused, unless final says that nothing follows.
func Format(dst []byte, stream Stream, at time.Time, data []byte, final bool) ([]byte, int) {
	head := append(at.UTC().AppendFormat(nil, time.RFC3339Nano), ' ')
	head = append(append(head, stream...), ' ')
	used := 0
	for used < len(data) {
		rest := data[used:]
		n := bytes.IndexByte(rest[:min(len(rest), MaxLine+1)], '\n')
		switch {
		case n >= 0:
			dst = appendEntry(dst, head, 'F', rest[:n])
			used += n + 1
		case len(rest) >= MaxLine:
			dst = appendEntry(dst, head, 'P', rest[:MaxLine])
			used += MaxLine
		case final:
			dst = appendEntry(dst, head, 'P', rest)
			used = len(data)
		default:
			return dst, used
		}
	}
	return dst, used
}

func appendEntry(dst, head []byte, tag byte, text []byte) []byte {
	dst = append(append(dst, head...), tag, ' ')
	dst = append(dst, text...)
	return append(dst, '\n')
}
