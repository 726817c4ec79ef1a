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
		_, wire, n := protowire.ConsumeTag(body[at:end])
		if n > 0 {
			at += n
			n = valueStart(wire, body[at:end])
		}
		if n < 0 { // not a message after all
			at, ends = end, ends[:len(ends)-1]
			continue
		}
		at += n
		if wire != protowire.BytesType {
			continue
		}
		size, _ := protowire.ConsumeVarint(body[at-n : end])
		if ends = append(ends, at+int(size)); len(ends) > limits.Depth {
			return errTooDeep
		}
	}
	return nil
}

// valueStart is how many bytes lie before the next tag or, for a field of
// bytes, before its content; negative where the value does not fit. The tags
// around a group count as values without bytes.
func valueStart(wire protowire.Type, rest []byte) int {
	switch wire {
	case protowire.StartGroupType, protowire.EndGroupType:
		return 0
	case protowire.BytesType:
		size, n := protowire.ConsumeVarint(rest)
		if n > 0 && size > uint64(len(rest)-n) {
			return -1
		}
		return n
	default:
		return protowire.ConsumeFieldValue(1, wire, rest)
	}
}
