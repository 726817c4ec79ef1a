package ruleset

import (
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers: a concatenated key lies in consecutive 32-bit registers that
// start where the first 128-bit register does.
const (
	reg0 = unix.NFT_REG_1
	reg1 = unix.NFT_REG32_01
	reg2 = unix.NFT_REG32_02
	reg3 = unix.NFT_REG32_03
)

// Direction tells the source of a packet from its destination.
type Direction bool

// The two ends of a packet.
const (
	Source      Direction = false
	Destination Direction = true
)

func loadAddress(d Direction, register uint32) expr.Any {
	offset := uint32(12)
	if d == Destination {
		offset = 16
	}
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

func loadProtocol(register uint32) expr.Any {
	return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}
}

func loadPort(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
}

// matchNetwork matches a packet whose address lies inside (or, negated,
// outside) of the network.
func matchNetwork(d Direction, network netip.Prefix, negate bool) []expr.Any {
	mask := make([]byte, 4)
	for bit := range network.Bits() {
		mask[bit/8] |= 0x80 >> (bit % 8)
	}
	op := expr.CmpOpEq
	if negate {
		op = expr.CmpOpNeq
	}
	address := network.Masked().Addr().As4()
	return []expr.Any{
		loadAddress(d, reg0),
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: reg0, Data: address[:]},
	}
}

// matchLocal matches a packet whose address is (or, negated, is not) one of
// the node's own.
func matchLocal(d Direction, negate bool) []expr.Any {
	op := expr.CmpOpEq
	if negate {
		op = expr.CmpOpNeq
	}
	return []expr.Any{
		&expr.Fib{Register: reg0, ResultADDRTYPE: true, FlagDADDR: d == Destination, FlagSADDR: d == Source},
		&expr.Cmp{Op: op, Register: reg0, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

func matchMark(mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(mark), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: binaryutil.NativeEndian.PutUint32(mark)},
	}
}

// setMark adds the bit to the packet's mark and keeps the others.
func setMark(mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(^mark), Xor: binaryutil.NativeEndian.PutUint32(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg0, SourceRegister: true},
	}
}

func matchTCP() []expr.Any {
	return []expr.Any{loadProtocol(reg0), &expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{unix.IPPROTO_TCP}}}
}

// matchNew matches the first packet of a connection.
func matchNew() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg0, Data: make([]byte, 4)},
	}
}

// loadFrontend loads address . protocol . port of the destination.
func loadFrontend() []expr.Any {
	return []expr.Any{loadAddress(Destination, reg0), loadProtocol(reg1), loadPort(reg2)}
}

// loadNodePort loads protocol . port of the destination.
func loadNodePort() []expr.Any {
	return []expr.Any{loadProtocol(reg0), loadPort(reg1)}
}

func inSet(name string) expr.Any {
	return &expr.Lookup{SourceRegister: reg0, SetName: name}
}

// throughPriority takes what a lookup found through the packet's priority, so
// that another lookup can use it: the kernel could take it from the register,
// but libnftables cannot read such a rule, and ends every program that lists
// the ruleset (nft, firewalld). Who uses it clears the priority (clearPriority),
// which nothing else has given to a packet of a Service by then.
func throughPriority() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: reg0, SourceRegister: true},
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: reg0},
	}
}

// clearPriority uses the register for it.
func clearPriority(register uint32) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: register, Data: nativeUint32(0)},
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: register, SourceRegister: true},
	}
}

func verdictFrom(name string) expr.Any {
	return &expr.Lookup{SourceRegister: reg0, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: name}
}

func jump(chain string) expr.Any {
	return &expr.Verdict{Kind: expr.VerdictJump, Chain: chain}
}

func join(parts ...[]expr.Any) []expr.Any {
	var out []expr.Any
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
