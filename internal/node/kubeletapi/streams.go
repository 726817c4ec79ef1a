package kubeletapi

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
)

// runTimeout bounds a command of /run.
const runTimeout = 2 * time.Minute

func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	_, instance, err := s.container(r, false)
	if err != nil {
		fail(w, err)
		return
	}
	q := r.URL.Query()
	req := &runtimeapi.ExecRequest{
		ContainerId: instance.ID(), Cmd: q["command"],
		Stdin: on(q, "input", "stdin"), Stdout: on(q, "output", "stdout"), Stderr: on(q, "error", "stderr"), Tty: on(q, "tty"),
	}
	if req.Tty {
		req.Stderr = false
	}
	s.stream(w, r, func() (string, error) { return s.cfg.Runtime.Exec(r.Context(), req) })
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	_, instance, err := s.container(r, false)
	if err != nil {
		fail(w, err)
		return
	}
	q := r.URL.Query()
	req := &runtimeapi.AttachRequest{
		ContainerId: instance.ID(),
		Stdin:       on(q, "input", "stdin"), Stdout: on(q, "output", "stdout"), Stderr: on(q, "error", "stderr"), Tty: on(q, "tty"),
	}
	if req.Tty {
		req.Stderr = false
	}
	s.stream(w, r, func() (string, error) { return s.cfg.Runtime.Attach(r.Context(), req) })
}

func (s *Server) portForward(w http.ResponseWriter, r *http.Request) {
	pod, snapshot, err := s.pod(r)
	if err != nil {
		fail(w, err)
		return
	}
	if snapshot.Sandbox == nil {
		fail(w, badRequest("pod %q is not running", pod.Name))
		return
	}
	req := &runtimeapi.PortForwardRequest{PodSandboxId: snapshot.Sandbox.GetId()}
	for _, text := range append(r.URL.Query()["port"], r.URL.Query()["ports"]...) {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			fail(w, badRequest("port: %q is not a port", text))
			return
		}
		req.Port = append(req.Port, int32(port))
	}
	s.stream(w, r, func() (string, error) { return s.cfg.Runtime.PortForward(r.Context(), req) })
}

// on reads a switch by any of its names: the kubelet's own or the API's.
func on(q url.Values, names ...string) bool {
	for _, name := range names {
		if v := q.Get(name); v == "1" || v == "true" {
			return true
		}
	}
	return false
}

// stream passes an upgraded connection through to the runtime's own server.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, prepare func() (string, error)) {
	text, err := prepare()
	if err != nil {
		code := http.StatusInternalServerError
		if cri.IsNotFound(err) {
			code = http.StatusNotFound
		}
		fail(w, &problem{code, cri.Message(err)})
		return
	}
	target, err := url.Parse(text)
	if err != nil || target.Host == "" {
		s.cfg.Logger.Error("the runtime's streaming address is not usable", "error", err)
		fail(w, &problem{http.StatusBadGateway, "the runtime gave no usable streaming address"})
		return
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = target
			p.Out.Host = target.Host
			// Who called is settled here; the runtime serves whoever has the URL.
			p.Out.Header.Del("Authorization")
		},
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			s.cfg.Logger.Warn("stream to the runtime failed", "error", err)
			http.Error(w, "stream to the runtime failed: "+err.Error(), http.StatusBadGateway)
		},
	}
	proxy.ServeHTTP(w, r)
}

// run runs a command to its end and answers with its output.
func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	_, instance, err := s.container(r, false)
	if err != nil {
		fail(w, err)
		return
	}
	resp, err := s.cfg.Runtime.ExecSync(r.Context(), instance.ID(), r.URL.Query()["cmd"], runTimeout)
	if err != nil {
		fail(w, &problem{http.StatusInternalServerError, cri.Message(err)})
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if resp.GetExitCode() != 0 {
		w.WriteHeader(http.StatusInternalServerError)
	}
	for _, part := range [][]byte{resp.GetStdout(), resp.GetStderr()} {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}
