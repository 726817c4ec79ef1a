package logs

import (
	"bytes"
	"io"
	"os"
)

const tailBlock = 64 << 10

// tailStart finds where the last n lines of the files begin: a file's index
// and an offset in it. Parts of a line count as one with their end.
func tailStart(paths []string, n int64) (index int, offset int64, err error) {
	left := n
	for i := len(paths) - 1; i >= 0; i-- {
		f, err := os.Open(paths[i])
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		at, missing, err := lastLines(f, left)
		f.Close()
		if err != nil {
			return 0, 0, err
		}
		if missing == 0 {
			return i, at, nil
		}
		left = missing
	}
	return 0, 0, nil
}

// lastLines finds the offset of the n-th full line from the end of a file;
// missing is how many it lacks.
func lastLines(f *os.File, n int64) (offset, missing int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, n, err
	}
	end := info.Size()
	if n == 0 {
		return end, 0, nil
	}
	block := make([]byte, tailBlock)
	var later []byte // the beginning of what follows, to see a record's tag
	lineEnd := end
	for pos := end; pos > 0; {
		size := min(pos, tailBlock)
		pos -= size
		if _, err := f.ReadAt(block[:size], pos); err != nil && err != io.EOF {
			return 0, n, err
		}
		chunk := append(bytes.Clone(block[:size]), later...)
		for i := size - 1; i >= 0; i-- {
			if chunk[i] != '\n' || pos+i+1 >= lineEnd {
				continue
			}
			// A line begins at i+1.
			lineEnd = pos + i + 1
			if isPart(chunk[i+1:]) {
				continue
			}
			if n--; n == 0 {
				return startOf(f, lineEnd), 0, nil
			}
		}
		later = chunk[:min(int64(len(chunk)), 128)]
	}
	// The file's first line begins at zero.
	if end > 0 && !isPart(later) {
		n--
	}
	return 0, max(n, 0), nil
}

// isPart tells that the record that begins here is a part of a line and not
// its end.
func isPart(b []byte) bool {
	b = b[:min(len(b), 128)]
	r, ok := parse(b)
	return ok && r.part
}

// startOf moves back over the parts that belong to the line whose end begins
// at offset.
func startOf(f *os.File, offset int64) int64 {
	const window = 1 << 20
	from := max(offset-window, 0)
	data := make([]byte, offset-from)
	if _, err := f.ReadAt(data, from); err != nil && err != io.EOF {
		return offset
	}
	for len(data) > 0 {
		cut := bytes.LastIndexByte(data[:len(data)-1], '\n')
		if cut < 0 && from > 0 {
			return offset
		}
		if !isPart(data[cut+1:]) {
			return offset
		}
		offset = from + int64(cut) + 1
		data = data[:cut+1]
	}
	return offset
}
