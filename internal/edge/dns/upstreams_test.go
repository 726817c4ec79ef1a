package dns

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// resolver is a resolver elsewhere; it counts what it was asked.
func resolver(t *testing.T, answer func(q, m *mdns.Msg)) (address string, asked *atomic.Int64) {
	t.Helper()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = &atomic.Int64{}
	started := make(chan struct{})
	s := &mdns.Server{PacketConn: udp, NotifyStartedFunc: func() { close(started) }, Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		asked.Add(1)
		m := new(mdns.Msg)
		m.SetReply(q)
		answer(q, m)
		_ = w.WriteMsg(m)
	})}
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-stopped
	})
	return udp.LocalAddr().String(), asked
}

// says answers every question for an address with one.
func says(ip string) func(q, m *mdns.Msg) {
	return func(q, m *mdns.Msg) {
		hdr := mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 60}
		m.Answer = []mdns.RR{&mdns.A{Hdr: hdr, A: net.ParseIP(ip)}}
	}
}

func settings(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: mirror.DNSSettings.Namespace, Name: mirror.DNSSettings.Name}, Data: data}
}

func TestStubDomainsFollowTheConfigMap(t *testing.T) {
	machine, _ := resolver(t, says("192.0.2.1"))
	corp, _ := resolver(t, says("192.0.2.2"))
	lab, _ := resolver(t, says("192.0.2.3"))
	f := NewForwarder([]string{machine})
	m := mirror.New("", slog.New(slog.DiscardHandler))
	FollowSettings(f, m, nil, slog.New(slog.DiscardHandler))
	r := NewResolver(testZone(), f)
	expect := func(name, want string) {
		t.Helper()
		if got := short(ask(r, name, mdns.TypeA)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	expect("db.corp.example.", "NOERROR 192.0.2.1")
	m.Put(settings(map[string]string{"stubDomains": fmt.Sprintf(`{"Corp.example": [%q], "lab.corp.example": [%q]}`, corp, lab)}))
	expect("db.corp.example.", "NOERROR 192.0.2.2")
	expect("corp.example.", "NOERROR 192.0.2.2")
	expect("x.lab.corp.example.", "NOERROR 192.0.2.3")
	expect("notcorp.example.", "NOERROR 192.0.2.1")
	expect("web.shop.svc.cluster.local.", "NOERROR 10.96.0.7")
	m.Put(settings(map[string]string{"upstreamNameservers": fmt.Sprintf("[%q]", lab)}))
	expect("db.corp.example.", "NOERROR 192.0.2.3")
	m.Put(settings(nil))
	expect("db.corp.example.", "NOERROR 192.0.2.1")
}

func TestWrongSettingsLeaveWhatIsRight(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	u, err := readSettings(settings(map[string]string{
		"stubDomains":         `{"a.example": ["10.96.0.10", "127.0.0.53", "192.0.2.5", "name.example"], "..": ["192.0.2.6"], "b.example": ["192.0.2.7:5353", "127.0.0.1:8600"]}`,
		"upstreamNameservers": `["127.0.0.1"]`,
	}), []string{"192.0.2.1:53"}, own)
	if err == nil {
		t.Fatal("nothing is said of what is wrong")
	}
	for _, part := range []string{`"10.96.0.10" would lead back`, `"127.0.0.53" would lead back`, `"name.example" is no address`, `".." is no domain`, `"127.0.0.1" would lead back`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %s", err, part)
		}
	}
	want := map[string][]string{"a.example.": {"192.0.2.5:53"}, "b.example.": {"192.0.2.7:5353", "127.0.0.1:8600"}}
	if diff := cmp.Diff(want, u.stubs); diff != "" || len(u.others) != 1 || u.others[0] != "192.0.2.1:53" {
		t.Errorf("others %v, stubs (-want +got):\n%s", u.others, diff)
	}
	if _, err := readSettings(settings(map[string]string{"stubDomains": "["}), nil, nil); err == nil {
		t.Error("what is no JSON is taken")
	}
}

// "No such name" is kept as long as the zone's SOA says (RFC 2308), no more.
func TestNegativeAnswersAreKept(t *testing.T) {
	for minimum, want := range map[uint32]int64{60: 1, 0: 2} {
		address, asked := resolver(t, func(_, m *mdns.Msg) {
			m.Rcode = mdns.RcodeNameError
			m.Ns = []mdns.RR{&mdns.SOA{Hdr: mdns.RR_Header{Name: "example.", Rrtype: mdns.TypeSOA, Class: mdns.ClassINET, Ttl: 60}, Ns: "a.", Mbox: "b.", Minttl: minimum}}
		})
		r := NewResolver(testZone(), NewForwarder([]string{address}))
		for range 2 {
			if got := short(ask(r, "nobody.example.", mdns.TypeA)); got != "NXDOMAIN" {
				t.Errorf("got %s", got)
			}
		}
		if asked.Load() != want {
			t.Errorf("minimum %d: asked %d times, want %d", minimum, asked.Load(), want)
		}
	}
}

// A truncated answer is asked for again by TCP; here nobody listens there, so
// that the client is told of a failure and not given half an answer.
func TestTruncatedAnswersAreNotPassedOn(t *testing.T) {
	address, _ := resolver(t, func(_, m *mdns.Msg) { m.Truncated = true })
	r := NewResolver(testZone(), NewForwarder([]string{address}))
	if got := short(ask(r, "big.example.", mdns.TypeA)); got != "SERVFAIL" {
		t.Errorf("got %s", got)
	}
}

// What a packet of a stranger makes us send is never much more than it.
func TestAnswersToSmallQuestionsAreSmall(t *testing.T) {
	z := testZone()
	r := NewResolver(z, NewForwarder(nil))
	for _, kind := range []uint16{mdns.TypeANY, mdns.TypeTXT, mdns.TypeDNSKEY} {
		q := new(mdns.Msg)
		q.SetQuestion("web.shop.svc.cluster.local.", kind)
		reply := fit(q, r.Answer(t.Context(), q), true)
		if reply.Len() > 4*q.Len() {
			t.Errorf("%s: %d bytes answer %d", mdns.TypeToString[kind], reply.Len(), q.Len())
		}
	}
}
