package kernel_test

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/network/nettest"
)

// initPacket is the first packet of an SCTP association (RFC 9260): a common
// header and an INIT chunk.
func initPacket(to uint16) []byte {
	p := make([]byte, 32)
	binary.BigEndian.PutUint16(p[0:], 40000)
	binary.BigEndian.PutUint16(p[2:], to)
	p[12] = 1                                  // INIT
	binary.BigEndian.PutUint16(p[14:], 20)     // its length
	binary.BigEndian.PutUint32(p[16:], 0x1234) // tag
	binary.BigEndian.PutUint32(p[20:], 65536)  // window
	binary.BigEndian.PutUint16(p[24:], 1)      // streams
	binary.BigEndian.PutUint16(p[26:], 1)
	binary.BigEndian.PutUint32(p[28:], 1) // first number
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return p
}

// raw is a socket for SCTP packets, which kernels without SCTP pass on too.
func raw(t *testing.T, in *nettest.Space) int {
	t.Helper()
	fd := -1
	in.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		return err
	})
	t.Cleanup(func() { _ = unix.Close(fd) })
	wait := unix.Timeval{Sec: 60}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		t.Fatal(err)
	}
	return fd
}

// SCTP is matched by its port. What comes first at the receiver is the packet
// to the port that is allowed, though others were sent before.
func TestSCTPPorts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	receiver, sender := raw(t, l.a), raw(t, l.b)
	l.apply(ingress("p", []networkingv1.NetworkPolicyPort{port(corev1.ProtocolSCTP, intstr.FromInt32(5000), 5001), port(corev1.ProtocolTCP, intstr.FromInt32(4000), 0)}))
	for _, to := range []uint16{4000, 4999, 5002, 5001} {
		if err := unix.Sendto(sender, initPacket(to), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(podA).As4()}); err != nil {
			t.Fatal(err)
		}
	}
	packet := make([]byte, 256)
	n, _, err := unix.Recvfrom(receiver, packet, 0)
	if err != nil || n < 24 {
		t.Fatalf("the packet to the allowed port did not come: %d bytes, %v", n, err)
	}
	if got := binary.BigEndian.Uint16(packet[22:]); got != 5001 { // after the IP header
		t.Errorf("a packet to port %d came through", got)
	}
}
