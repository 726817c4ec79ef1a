package dns

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

func ptr[T any](v T) *T { return &v }

func clusterService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.7", ClusterIPs: []string{"10.96.0.7", "fd00::7"},
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}}},
	}
}

func headlessService() (*corev1.Service, []*discoveryv1.EndpointSlice) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"},
		Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, ClusterIPs: []string{corev1.ClusterIPNone}}}
	slice := &discoveryv1.EndpointSlice{
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr("sql"), Port: ptr(int32(5432)), Protocol: ptr(corev1.ProtocolTCP)}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.244.0.5"}, Hostname: ptr("db-0")},
			{Addresses: []string{"10.244.0.6"}},
			{Addresses: []string{"10.244.0.9"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(false)}},
		},
	}
	return svc, []*discoveryv1.EndpointSlice{slice}
}

// testZone has one Service of each form.
func testZone() *Zone {
	z := NewZone("cluster.local")
	z.set(mirror.Key{Namespace: "shop", Name: "web"}, renderService(clusterService(), nil, z.name))
	svc, slices := headlessService()
	z.set(mirror.Key{Namespace: "shop", Name: "db"}, renderService(svc, slices, z.name))
	outside := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "mail"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "web.shop.svc.cluster.local"}}
	z.set(mirror.Key{Namespace: "shop", Name: "mail"}, renderService(outside, nil, z.name))
	return z
}

func ask(r *Resolver, name string, kind uint16) *mdns.Msg {
	q := new(mdns.Msg)
	q.SetQuestion(name, kind)
	return r.Answer(context.Background(), q)
}

// short writes an answer as "RCODE data data ...", sorted.
func short(m *mdns.Msg) string {
	var data []string
	for _, rr := range m.Answer {
		data = append(data, strings.Join(strings.Fields(strings.TrimPrefix(rr.String(), rr.Header().String())), " "))
	}
	slices.Sort(data)
	return strings.TrimSpace(mdns.RcodeToString[m.Rcode] + " " + strings.Join(data, ", "))
}

func TestNamesOfTheSpecification(t *testing.T) {
	r := NewResolver(testZone(), NewForwarder(nil))
	for _, tc := range []struct {
		name string
		kind uint16
		want string
	}{
		{"web.shop.svc.cluster.local.", mdns.TypeA, "NOERROR 10.96.0.7"},
		{"WEB.Shop.svc.cluster.local.", mdns.TypeA, "NOERROR 10.96.0.7"},
		{"web.shop.svc.cluster.local.", mdns.TypeAAAA, "NOERROR fd00::7"},
		{"web.shop.svc.cluster.local.", mdns.TypeTXT, "NOERROR"},
		{"_http._tcp.web.shop.svc.cluster.local.", mdns.TypeSRV, "NOERROR 0 100 80 web.shop.svc.cluster.local."},
		{"7.0.96.10.in-addr.arpa.", mdns.TypePTR, "NOERROR web.shop.svc.cluster.local."},
		{"db.shop.svc.cluster.local.", mdns.TypeA, "NOERROR 10.244.0.5, 10.244.0.6"},
		{"db-0.db.shop.svc.cluster.local.", mdns.TypeA, "NOERROR 10.244.0.5"},
		{"10-244-0-6.db.shop.svc.cluster.local.", mdns.TypeA, "NOERROR 10.244.0.6"},
		{"_sql._tcp.db.shop.svc.cluster.local.", mdns.TypeSRV,
			"NOERROR 0 100 5432 10-244-0-6.db.shop.svc.cluster.local., 0 100 5432 db-0.db.shop.svc.cluster.local."},
		{"5.0.244.10.in-addr.arpa.", mdns.TypePTR, "NOERROR db-0.db.shop.svc.cluster.local."},
		{"6.0.244.10.in-addr.arpa.", mdns.TypePTR, "NOERROR 10-244-0-6.db.shop.svc.cluster.local."},
		{"9.0.244.10.in-addr.arpa.", mdns.TypePTR, "SERVFAIL"}, // not ready: nobody's, and nobody to forward to
		{"web.shop.svc.cluster.local.", mdns.TypeANY, `NOERROR "RFC8482" ""`},
		{"mail.shop.svc.cluster.local.", mdns.TypeA, "NOERROR 10.96.0.7, web.shop.svc.cluster.local."},
		{"10-1-2-3.shop.pod.cluster.local.", mdns.TypeA, "NOERROR 10.1.2.3"},
		{"dns-version.cluster.local.", mdns.TypeTXT, `NOERROR "1.1.0"`},
		// What is not there, and what is between names that are.
		{"nobody.shop.svc.cluster.local.", mdns.TypeA, "NXDOMAIN"},
		{"web.shop.svc.cluster.local.svc.cluster.local.", mdns.TypeA, "NXDOMAIN"},
		{"shop.svc.cluster.local.", mdns.TypeA, "NOERROR"},
		{"_tcp.web.shop.svc.cluster.local.", mdns.TypeA, "NOERROR"},
		{"cluster.local.", mdns.TypeA, "NOERROR"},
		{"example.org.", mdns.TypeA, "SERVFAIL"}, // nobody to forward to
	} {
		t.Run(tc.name+mdns.TypeToString[tc.kind], func(t *testing.T) {
			m := ask(r, tc.name, tc.kind)
			if got := short(m); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if len(m.Answer) == 0 && m.Rcode != mdns.RcodeServerFailure && len(m.Ns) != 1 {
				t.Errorf("a negative answer needs the zone's SOA, got %v", m.Ns)
			}
		})
	}
}

func TestServiceThatGoesLeavesNothing(t *testing.T) {
	z := testZone()
	for _, name := range []string{"web", "db", "mail"} {
		z.set(mirror.Key{Namespace: "shop", Name: name}, nil)
	}
	if len(z.names)+len(z.below)+len(z.services) != 0 {
		t.Errorf("left: %v, %v, %v", z.names, z.below, z.services)
	}
}

func TestAnswersOverSockets(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := testZone()
	big := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "big"}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}}
	slice := &discoveryv1.EndpointSlice{}
	for i := range 200 {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{netip.AddrFrom4([4]byte{10, 244, 1, byte(i)}).String()}})
	}
	z.set(mirror.Key{Namespace: "shop", Name: "big"}, renderService(big, []*discoveryv1.EndpointSlice{slice}, z.name))

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- NewServer(NewResolver(z, NewForwarder(nil)), nil).Run(ctx, []net.PacketConn{udp}, []net.Listener{tcp})
	}()
	q := new(mdns.Msg)
	q.SetQuestion("big.shop.svc.cluster.local.", mdns.TypeA)

	small, _, err := (&mdns.Client{Timeout: time.Minute}).Exchange(q, udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	small.Compress = true // as it was on the wire
	if !small.Truncated || small.Len() > mdns.MinMsgSize {
		t.Errorf("a plain UDP answer must be cut at %d bytes and say so: %d bytes, truncated %v", mdns.MinMsgSize, small.Len(), small.Truncated)
	}
	whole, _, err := (&mdns.Client{Net: "tcp", Timeout: time.Minute}).Exchange(q, tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Answer) != 200 || whole.Truncated {
		t.Errorf("TCP gives everything: %d answers, truncated %v", len(whole.Answer), whole.Truncated)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A server that is told to end before it has begun ends.
func TestEndBeforeTheStart(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- NewServer(NewResolver(testZone(), NewForwarder(nil)), nil).Run(ctx, []net.PacketConn{udp}, []net.Listener{tcp})
	}()
	await.Until(t, time.Minute, "the server ends", func() bool { return len(ended) > 0 })
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestForwardingAsksAndRemembers(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	upstream := &mdns.Server{PacketConn: udp, Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		asked++
		m := new(mdns.Msg)
		m.SetReply(q)
		m.Answer = []mdns.RR{&mdns.A{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 9)}}
		_ = w.WriteMsg(m)
	})}
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = upstream.ActivateAndServe() }()

	r := NewResolver(testZone(), patient(udp.LocalAddr().String()))
	for range 3 {
		if got := short(ask(r, "example.org.", mdns.TypeA)); got != "NOERROR 192.0.2.9" {
			t.Errorf("got %s", got)
		}
	}
	if err := upstream.Shutdown(); err != nil {
		t.Error(err)
	}
	<-stopped
	if asked != 1 {
		t.Errorf("the resolver was asked %d times, want once", asked)
	}
}

func TestForwardingNeverLoops(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stub := write("stub", "nameserver 127.0.0.53\nnameserver 10.96.0.10\n")
	real := write("real", "nameserver 192.0.2.1\nnameserver 127.0.0.1\n")
	own := []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	for _, tc := range []struct {
		files, want []string
	}{
		{[]string{stub, real}, []string{"192.0.2.1:53"}},
		{[]string{stub}, nil},
		{[]string{filepath.Join(dir, "missing"), real}, []string{"192.0.2.1:53"}},
	} {
		if diff := cmp.Diff(tc.want, Resolvers(tc.files, own)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.files, diff)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	q := new(mdns.Msg)
	q.SetQuestion("web.shop.svc.cluster.local.", mdns.TypeSRV)
	q.SetEdns0(4096, true)
	seed, err := q.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	r := NewResolver(testZone(), NewForwarder(nil))
	f.Fuzz(func(t *testing.T, packet []byte) {
		q := new(mdns.Msg)
		if q.Unpack(packet) != nil {
			return
		}
		reply := fit(q, r.Answer(t.Context(), q), true)
		if _, err := reply.Pack(); err != nil && len(q.Question) == 1 {
			t.Errorf("the answer to %v cannot be packed: %v", q.Question, err)
		}
	})
}
