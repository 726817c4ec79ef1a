package codec

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

// errTooDeep says that a protobuf body nests beyond limits.Depth. Decoders of
// messages that hold themselves, as schemas do, recurse once a level: a few
// megabytes could nest deeper than a stack can grow, which ends the process.
var errTooDeep = fmt.Errorf("proto: messages lie more than %d deep within each other", limits.Depth)

// checkDepth refuses a protobuf body that nests too deep, in one pass over
// it. Which fields are messages is not known here: every one that could be is
// taken for one, and for bytes as soon as it does not parse.
//
// Numbers are read as the generated decoders read them, which drop the bits
// that are too many and do not ask whether a field's number is allowed: what
// they would descend into must not pass for bytes here.
func checkDepth(body []byte) error {
	body = bytes.TrimPrefix(body, protobufMagic)
	if len(body) < 2*limits.Depth { // a level takes two bytes at least
		return nil
	}
	ends := []int{len(body)} // of the messages around at
	for at := 0; len(ends) > 0; {
		end := ends[len(ends)-1]
		if at >= end {
			ends = ends[:len(ends)-1]
			continue
		}
		f := readField(body[at:end])
		if !f.fits { // not a message after all
			at, ends = end, ends[:len(ends)-1]
			continue
		}
		at += f.head
		if !f.bytes {
			continue
		}
		if ends = append(ends, at+f.size); len(ends) > limits.Depth {
			return errTooDeep
		}
	}
	return nil
}

// field is how a field lies in a message: head bytes before the next field or,
// for a field of bytes, before the size bytes of its content.
type field struct {
	head, size  int
	bytes, fits bool
}

// readField reads the head of the first field. The tags around a group count as
// fields without bytes.
func readField(message []byte) field {
	tag, head := varint(message)
	if head == 0 {
		return field{}
	}
	rest := message[head:]
	n, fixed := 0, 0
	switch protowire.Type(tag & 7) {
	case protowire.StartGroupType, protowire.EndGroupType:
	case protowire.Fixed32Type:
		fixed = 4
	case protowire.Fixed64Type:
		fixed = 8
	case protowire.VarintType:
		if _, n = varint(rest); n == 0 {
			return field{}
		}
	case protowire.BytesType:
		size, width := varint(rest)
		if width == 0 || size > uint64(len(rest)-width) {
			return field{}
		}
		return field{head: head + width, size: int(size), bytes: true, fits: true}
	default:
		return field{}
	}
	return field{head: head + n + fixed, fits: n+fixed <= len(rest)}
}

// varint reads a number of ten bytes at most, without the bits that are too
// many; n is zero where there is none.
func varint(b []byte) (v uint64, n int) {
	for n = range min(len(b), 10) {
		v |= uint64(b[n]&0x7f) << (7 * n)
		if b[n] < 0x80 {
			return v, n + 1
		}
	}
	return 0, 0
}
