package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	journalMagic = 0x6b6e6c6f67303031 // "knlog001"
	journalSize  = 5 * 8
	nStreams     = 2
)

// state is what the journal says.
type state struct {
	// inode is the log file's, by which a rotated one is found again.
	inode uint64
	// size is how much of the log file counts.
	size int64
	// done is how much of each staging file is in the log.
	done [nStreams]int64
}

func (s state) encode() []byte {
	b := make([]byte, 0, journalSize)
	for _, v := range []uint64{journalMagic, s.inode, uint64(s.size), uint64(s.done[0]), uint64(s.done[1])} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func decodeState(b []byte) (state, error) {
	if len(b) != journalSize || binary.LittleEndian.Uint64(b) != journalMagic {
		return state{}, errors.New("log journal is damaged")
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	return state{inode: at(1), size: int64(at(2)), done: [nStreams]int64{int64(at(3)), int64(at(4))}}, nil
}

// readJournal returns what f says, and whether it says anything.
func readJournal(f *os.File) (state, bool, error) {
	var b [journalSize]byte
	n, err := f.ReadAt(b[:], 0)
	if n == 0 && errors.Is(err, io.EOF) {
		return state{}, false, nil
	}
	if err != nil {
		return state{}, false, fmt.Errorf("log journal: %w", err)
	}
	s, err := decodeState(b[:])
	return s, err == nil, err
}
