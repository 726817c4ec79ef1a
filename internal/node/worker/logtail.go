package worker

import (
	"bytes"
	"io"
	"os"
)

// logTail is the text of a log's end: at most the given bytes and lines,
// without what the log format adds (time, stream and tag).
func logTail(path string, limit, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	// The format's prefix takes about 50 bytes a line.
	from := max(info.Size()-int64(limit+lines*64), 0)
	data, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return ""
	}
	if from > 0 {
		if cut := bytes.IndexByte(data, '\n'); cut >= 0 {
			data = data[cut+1:]
		}
	}
	rows := bytes.SplitAfter(data, []byte{'\n'})
	if len(rows) > lines+1 {
		rows = rows[len(rows)-lines-1:]
	}
	var out []byte
	for _, row := range rows {
		fields := bytes.SplitN(row, []byte{' '}, 4)
		if len(fields) < 4 {
			continue
		}
		text := fields[3]
		if bytes.Equal(fields[2], []byte("P")) {
			text = bytes.TrimSuffix(text, []byte{'\n'})
		}
		out = append(out, text...)
	}
	if len(out) > limit {
		out = out[len(out)-limit:]
	}
	return string(out)
}
