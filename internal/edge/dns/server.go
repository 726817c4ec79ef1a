package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/net/netutil"

	"github.com/knarr-io/knarr/internal/edge/measure"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

const (
	// maxUDP is the largest answer sent by UDP whatever the client offers,
	// so that it is never fragmented (DNS flag day 2020).
	maxUDP = 1232
	// maxInFlight bounds questions that are being answered at one time;
	// beyond it UDP questions are dropped, which their clients repeat.
	maxInFlight = 2048
	// answerTime bounds one answer.
	answerTime = 5 * time.Second
	// maxPerConnection bounds the questions on one TCP connection.
	maxPerConnection = 1000
	// maxConnections bounds the TCP connections of one socket.
	maxConnections = 1024
)

// Server answers on the given sockets. It is made by NewServer and run once.
type Server struct {
	resolver *Resolver
	metrics  *measure.Metrics
	slots    chan struct{}
}

// NewServer makes a server over the resolver; metrics may be nil.
func NewServer(r *Resolver, metrics *measure.Metrics) *Server {
	return &Server{resolver: r, metrics: metrics, slots: make(chan struct{}, maxInFlight)}
}

// Follow keeps the zone in step with the mirror.
func Follow(zone *Zone, m *mirror.Mirror) {
	m.OnChange(func(topic mirror.Topic, key mirror.Key) {
		if topic != mirror.Service {
			return
		}
		svc, ok := m.Service(key)
		if !ok {
			zone.set(key, nil)
			return
		}
		zone.set(key, renderService(svc, m.Slices(key), zone.name))
	})
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context, udp []net.PacketConn, tcp []net.Listener) error {
	var servers []*mdns.Server
	for _, c := range udp {
		servers = append(servers, &mdns.Server{PacketConn: c, Handler: s.handler(ctx), UDPSize: maxUDP})
	}
	for _, l := range tcp {
		servers = append(servers, &mdns.Server{Listener: netutil.LimitListener(l, maxConnections), Handler: s.handler(ctx), MaxTCPQueries: maxPerConnection,
			IdleTimeout: func() time.Duration { return 10 * time.Second }})
	}
	failed := make(chan error, len(servers))
	var running, starting sync.WaitGroup
	for _, server := range servers {
		started := sync.OnceFunc(starting.Done)
		starting.Add(1)
		server.NotifyStartedFunc = started
		running.Go(func() {
			defer started()
			if err := server.ActivateAndServe(); err != nil && !errors.Is(err, net.ErrClosed) {
				failed <- fmt.Errorf("serve DNS: %w", err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	starting.Wait() // until then none can be told to end
	for _, server := range servers {
		_ = server.Shutdown() // one that has failed is no fault
	}
	running.Wait()
	return err
}

func (s *Server) handler(ctx context.Context) mdns.Handler {
	return mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		select {
		case s.slots <- struct{}{}:
		default:
			return
		}
		defer func() { <-s.slots }()
		bounded, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		_, isUDP := w.RemoteAddr().(*net.UDPAddr)
		begun := time.Now()
		answer := s.resolver.Answer(bounded, q)
		s.count(answer, isUDP, time.Since(begun))
		// A client that went away needs no answer.
		_ = w.WriteMsg(fit(q, answer, isUDP))
	})
}

func (s *Server) count(answer *mdns.Msg, udp bool, took time.Duration) {
	transport, kind, from := "tcp", "", "elsewhere"
	if udp {
		transport = "udp"
	}
	if answer.Authoritative {
		from = "zone"
	}
	if len(answer.Question) == 1 {
		kind = mdns.TypeToString[answer.Question[0].Qtype]
	}
	s.metrics.Named(transport, kind, mdns.RcodeToString[answer.Rcode], from, took)
}

// fit adds what the client's EDNS asks for and cuts the answer to what its
// transport takes.
func fit(q, reply *mdns.Msg, udp bool) *mdns.Msg {
	size := mdns.MaxMsgSize
	if udp {
		size = mdns.MinMsgSize
	}
	if opt := q.IsEdns0(); opt != nil {
		if udp {
			size = min(max(int(opt.UDPSize()), mdns.MinMsgSize), maxUDP)
		}
		reply.SetEdns0(maxUDP, false)
		if opt.Version() != 0 {
			reply.Answer, reply.Ns, reply.Rcode = nil, nil, mdns.RcodeBadVers
		}
	}
	reply.Compress = true
	reply.Truncate(size)
	return reply
}
