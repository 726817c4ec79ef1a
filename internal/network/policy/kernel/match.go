package kernel

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// Registers: a concatenated key lies in consecutive 32-bit registers that
// start where the first 128-bit register does.
const (
	reg0 = unix.NFT_REG_1
	reg1 = unix.NFT_REG32_01
	reg2 = unix.NFT_REG32_02
)

const (
	sourceOffset      = 12
	destinationOffset = 16
)

func loadAddress(offset, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

func loadProtocol(register uint32) expr.Any {
	return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}
}

// loadPort loads the destination's port, which lies at one place in all
// protocols that have ports.
func loadPort(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
}

// peerOffset is where the other end of a subject stands.
func peerOffset(d rules.Direction) uint32 {
	if d == rules.Egress {
		return destinationOffset
	}
	return sourceOffset
}

func subjectOffset(d rules.Direction) uint32 { return sourceOffset + destinationOffset - peerOffset(d) }

func equals(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: data} }

func differs(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpNeq, Register: reg0, Data: data} }

func verdict(kind expr.VerdictKind, chain string) expr.Any {
	return &expr.Verdict{Kind: kind, Chain: chain}
}

// matchState matches a connection's state, one of those given.
func matchState(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4, Mask: native(bits), Xor: make([]byte, 4)},
		differs(make([]byte, 4)),
	}
}

// matchProtocol matches the protocol above IP.
func matchProtocol(number uint8) []expr.Any {
	return []expr.Any{loadProtocol(reg0), equals([]byte{number})}
}

// matchLate matches TCP packets that do not begin a connection: of FIN, SYN,
// RST and ACK a first packet has SYN alone.
func matchLate() []expr.Any {
	const flagsOffset, mask, syn = 13, 0x17, 0x02
	return append(matchProtocol(unix.IPPROTO_TCP),
		&expr.Payload{DestRegister: reg0, Base: expr.PayloadBaseTransportHeader, Offset: flagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		differs([]byte{syn}))
}

// matchLinkPrefix matches packets that came by a link whose name begins (or,
// negated, does not begin) so.
func matchLinkPrefix(prefix string, negate bool) []expr.Any {
	op := expr.CmpOpEq
	if negate {
		op = expr.CmpOpNeq
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg0}, &expr.Cmp{Op: op, Register: reg0, Data: []byte(prefix)}}
}

// matchSpoofed matches packets whose source is not routed to the link that
// they came by.
func matchSpoofed() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: reg0, ResultOIF: true, FlagSADDR: true, FlagIIF: true},
		equals(make([]byte, 4)),
	}
}

func inSet(name string) expr.Any { return &expr.Lookup{SourceRegister: reg0, SetName: name} }

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func big32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func big16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func join(parts ...[]expr.Any) []expr.Any {
	var out []expr.Any
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
