package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/edge/mirror"
	"github.com/knarr-io/knarr/internal/testkit/await"
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

// patient forwards to resolvers of this process, which answer: on a busy
// machine not at once.
func patient(resolvers ...string) *Forwarder {
	f := NewForwarder(resolvers)
	f.attempt, f.whole = time.Minute, time.Minute
	return f
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

// A resolver that knows no EDNS, as some home routers, is asked without.
func TestResolversWithoutEDNS(t *testing.T) {
	for _, code := range []int{mdns.RcodeFormatError, mdns.RcodeNotImplemented} {
		address, asked := resolver(t, func(q, m *mdns.Msg) {
			if q.IsEdns0() != nil {
				m.Rcode = code
				return
			}
			says("192.0.2.9")(q, m)
		})
		r := NewResolver(testZone(), patient(address))
		if got := short(ask(r, "example.org.", mdns.TypeA)); got != "NOERROR 192.0.2.9" || asked.Load() != 2 {
			t.Errorf("%s: %s after %d questions", mdns.RcodeToString[code], got, asked.Load())
		}
	}
}

// What an answer's records still count goes down while the answer is kept.
func TestKeptAnswersAge(t *testing.T) {
	q, m := new(mdns.Msg), new(mdns.Msg)
	q.SetQuestion("example.org.", mdns.TypeA)
	says("192.0.2.9")(q, m)
	since := time.Unix(100, 0)
	k := kept{msg: m, since: since}
	for after, want := range map[time.Duration]uint32{0: 60, 20*time.Second + time.Millisecond: 40, time.Hour: 0} {
		if got := k.aged(since.Add(after)).Answer[0].Header().Ttl; got != want {
			t.Errorf("after %s it counts for %d s, want %d", after, got, want)
		}
	}
}

// Resolvers that do not answer leave room for the cluster's own names: what
// would be one question too many fails at once.
func TestSilentResolversTakeNotAll(t *testing.T) {
	release := make(chan struct{})
	address, asked := resolver(t, func(q, m *mdns.Msg) {
		<-release
		says("192.0.2.1")(q, m)
	})
	f := patient(address)
	f.slots = make(chan struct{}, 2)
	r := NewResolver(testZone(), f)
	answers := make(chan string, 2)
	for _, name := range []string{"a.example.", "b.example."} {
		go func() { answers <- short(ask(r, name, mdns.TypeA)) }()
	}
	await.Until(t, time.Minute, "the resolver is asked twice", func() bool { return asked.Load() == 2 })
	if got := short(ask(r, "c.example.", mdns.TypeA)); got != "SERVFAIL" {
		t.Errorf("one too many: %s", got)
	}
	close(release)
	for range 2 {
		if got := <-answers; got != "NOERROR 192.0.2.1" {
			t.Errorf("got %s", got)
		}
	}
	if got := short(ask(r, "c.example.", mdns.TypeA)); got != "NOERROR 192.0.2.1" {
		t.Errorf("afterwards: %s", got)
	}
}

// Who asks in another network does not wait for resolvers of the former one that
// somebody asked the same before.
func TestResolversOfAnotherNetworkAreAskedAtOnce(t *testing.T) {
	release := make(chan struct{})
	former, asked := resolver(t, func(_, m *mdns.Msg) {
		<-release
		m.Rcode = mdns.RcodeServerFailure
	})
	f := patient(former)
	r := NewResolver(testZone(), f)
	before := make(chan string, 1)
	go func() { before <- short(ask(r, "a.example.", mdns.TypeA)) }()
	await.Until(t, time.Minute, "the former resolver is asked", func() bool { return asked.Load() == 1 })
	now, _ := resolver(t, says("192.0.2.1"))
	f.use(&upstreams{others: []string{now}})
	if got := short(ask(r, "a.example.", mdns.TypeA)); got != "NOERROR 192.0.2.1" {
		t.Errorf("got %s", got)
	}
	close(release)
	if got := <-before; got != "SERVFAIL" {
		t.Errorf("before: %s", got)
	}
}

func TestStubDomainsFollowTheConfigMap(t *testing.T) {
	machine, _ := resolver(t, says("192.0.2.1"))
	corp, _ := resolver(t, says("192.0.2.2"))
	lab, _ := resolver(t, says("192.0.2.3"))
	f := patient(machine)
	m := mirror.New("", slog.New(slog.DiscardHandler))
	moved := FollowSettings(f, m, nil, slog.New(slog.DiscardHandler))
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
	m.Put(settings(map[string]string{"stubDomains": fmt.Sprintf(`{"corp.example": [%q]}`, corp)}))
	moved([]string{lab})
	expect("db.corp.example.", "NOERROR 192.0.2.2")
	expect("notcorp.example.", "NOERROR 192.0.2.3")
}

// Another network has other resolvers.
func TestResolversFollowTheMachine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	write("nameserver 192.0.2.1\n")
	told := make(chan []string)
	go func() {
		_ = FollowResolvers(t.Context(), []string{file}, nil, []string{"192.0.2.1:53"}, func(now []string) { told <- now })
	}()
	for _, address := range []string{"192.0.2.2", "192.0.2.3"} {
		write("# no network\n")
		write("nameserver 127.0.0.53\nnameserver " + address + "\n")
		select {
		case got := <-told:
			if diff := cmp.Diff([]string{address + ":53"}, got); diff != "" {
				t.Error(diff)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s was not told", address)
		}
	}
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
		r := NewResolver(testZone(), patient(address))
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

// Names that lead to each other, or on and on, end, within the cluster and by
// way of a resolver elsewhere.
func TestExternalNamesThatLoop(t *testing.T) {
	z := NewZone("cluster.local")
	alias := func(name, to string) {
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: to}}
		z.set(mirror.Key{Namespace: "shop", Name: name}, renderService(svc, nil, z.name))
	}
	alias("self", "self.shop.svc.cluster.local")
	alias("ping", "pong.shop.svc.cluster.local")
	alias("pong", "ping.shop.svc.cluster.local")
	for i := range 20 {
		alias(fmt.Sprint("chain", i), fmt.Sprintf("chain%d.shop.svc.cluster.local", i+1))
	}
	address, asked := resolver(t, func(q, m *mdns.Msg) {
		m.Answer = []mdns.RR{&mdns.CNAME{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeCNAME, Class: mdns.ClassINET, Ttl: 60}, Target: "out.shop.svc.cluster.local."}}
	})
	alias("out", "elsewhere.example")
	r := NewResolver(z, patient(address))
	for _, name := range []string{"self", "ping", "chain0", "out"} {
		m := ask(r, name+".shop.svc.cluster.local.", mdns.TypeA)
		if len(m.Answer) == 0 || len(m.Answer) > maxChain {
			t.Errorf("%s: %s", name, short(m))
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the resolver was asked %d times", asked.Load())
	}
}

// The answer to a question is that of the endpoints as the last change left
// them: nothing is kept of the zone's.
func TestAnswersFollowEndpoints(t *testing.T) {
	m := mirror.New("", slog.New(slog.DiscardHandler))
	z := NewZone("cluster.local")
	Follow(z, m)
	r := NewResolver(z, NewForwarder(nil))
	svc, all := headlessService()
	m.Put(svc)
	slice := all[0]
	slice.ObjectMeta = metav1.ObjectMeta{Namespace: svc.Namespace, Name: "db-1", Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name}}
	m.Put(slice)
	for i := range 10 {
		address := fmt.Sprintf("10.244.7.%d", i)
		slice = slice.DeepCopy()
		slice.Endpoints = slice.Endpoints[:1]
		slice.Endpoints[0].Addresses = []string{address}
		m.Put(slice)
		if got := short(ask(r, "db.shop.svc.cluster.local.", mdns.TypeA)); got != "NOERROR "+address {
			t.Errorf("got %s, want %s", got, address)
		}
	}
}

// What is no question gets no answer, or a refusal, and the next question its
// answer as before.
func TestMalformedPackets(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- NewServer(NewResolver(testZone(), NewForwarder(nil)), nil).Run(ctx, []net.PacketConn{udp}, nil)
	}()
	c, err := net.Dial("udp4", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	good := new(mdns.Msg)
	good.SetQuestion("web.shop.svc.cluster.local.", mdns.TypeA)
	wire, err := good.Pack()
	if err != nil {
		t.Fatal(err)
	}
	answer := append([]byte(nil), wire...)
	answer[2] |= 0x80 // a response: to answer those would be a loop
	var bad [][]byte
	for n := range len(wire) {
		bad = append(bad, wire[:n])
	}
	for _, count := range []int{4, 6, 8, 10} { // more sections than there are
		p := append([]byte(nil), wire...)
		p[count], p[count+1] = 0xff, 0xff
		bad = append(bad, p)
	}
	pointer := append(append([]byte(nil), wire[:12]...), 0xc0, 12, 0, 1, 0, 1) // a name that points to itself
	bad = append(bad, answer, pointer, make([]byte, 1200))
	for _, p := range bad {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	reply, _, err := (&mdns.Client{Timeout: time.Minute}).Exchange(good, udp.LocalAddr().String())
	if err != nil || short(reply) != "NOERROR 10.96.0.7" {
		t.Errorf("%v, %v", reply, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
