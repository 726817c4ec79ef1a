package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Health is what load balancers are told of a Service whose external traffic
// stays on the node that it came to. A zero port is told nothing.
type Health struct {
	Port uint16
	// Local counts the Service's ready endpoints on the node.
	Local int
}

// healthOf counts the pods of this node, each once.
func healthOf(svc *corev1.Service, slices []*discoveryv1.EndpointSlice, here Place) Health {
	if svc.Spec.HealthCheckNodePort == 0 {
		return Health{}
	}
	local := map[netip.Addr]bool{}
	for i := range svc.Spec.Ports {
		for _, c := range localOf(collect(slices, &svc.Spec.Ports[i], here, isReady)) {
			local[c.target.Addr] = true
		}
	}
	return Health{Port: uint16(svc.Spec.HealthCheckNodePort), Local: len(local)}
}

// healthPorts answers on the health check node ports as upstream's kube-proxy
// does. One goroutine calls set and stop; the answers are safe beside it.
type healthPorts struct {
	listen func(port uint16) (net.Listener, error)
	logger *slog.Logger
	served map[owner]*healthServer
	ending sync.WaitGroup
}

// healthServer answers for one Service.
type healthServer struct {
	owner owner
	port  uint16
	local atomic.Int64
	// Both are closed: a server that does not serve yet has no listener.
	server   *http.Server
	listener net.Listener
}

func newHealthPorts(logger *slog.Logger) *healthPorts {
	return &healthPorts{logger: logger, served: map[owner]*healthServer{}, listen: func(port uint16) (net.Listener, error) {
		return net.Listen("tcp4", ":"+strconv.Itoa(int(port)))
	}}
}

// set makes Services' ports answer their health, once those are free that are
// wanted no more: another Service may get one. A port that cannot be listened on
// is tried again with its Service's next change.
func (h *healthPorts) set(wants map[owner]Health) {
	for o, want := range wants {
		if have := h.served[o]; have != nil && have.port != want.Port {
			_ = have.listener.Close()
			_ = have.server.Close() // questions under way may fail: the port is gone
			delete(h.served, o)
		}
	}
	for o, want := range wants {
		if have := h.served[o]; have != nil {
			have.local.Store(int64(want.Local))
		} else if want.Port != 0 {
			h.open(o, want)
		}
	}
}

func (h *healthPorts) open(o owner, want Health) {
	l, err := h.listen(want.Port)
	if err != nil {
		h.logger.Warn("a Service's health check node port cannot be served; load balancers will keep away from this node",
			"namespace", o.namespace, "service", o.name, "port", want.Port, "error", err)
		return
	}
	h.serve(o, want, l)
}

func (h *healthPorts) serve(o owner, want Health, l net.Listener) {
	const timeout, maxHeader = 5 * time.Second, 4 << 10
	s := &healthServer{owner: o, port: want.Port, listener: l}
	s.local.Store(int64(want.Local))
	s.server = &http.Server{Handler: s, ReadTimeout: timeout, WriteTimeout: timeout, IdleTimeout: timeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(h.logger.Handler(), slog.LevelDebug)}
	h.served[o] = s
	h.ending.Go(func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			h.logger.Warn("a health check node port failed", "port", want.Port, "error", err)
		}
	})
}

// stop ends all of them.
func (h *healthPorts) stop(ctx context.Context) {
	for _, s := range h.served {
		_ = s.server.Shutdown(ctx)
		_ = s.server.Close()
	}
	h.ending.Wait()
}

// ServeHTTP says whether the node should get the Service's traffic.
func (s *healthServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	local := s.local.Load()
	status := http.StatusOK
	if local == 0 {
		status = http.StatusServiceUnavailable
	}
	namespace, _ := json.Marshal(s.owner.namespace)
	name, _ := json.Marshal(s.owner.name)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.FormatInt(local, 10))
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "{\n\t\"service\": {\n\t\t\"namespace\": %s,\n\t\t\"name\": %s\n\t},\n\t\"localEndpoints\": %d,\n\t\"serviceProxyHealthy\": true\n}",
		namespace, name, local)
}
