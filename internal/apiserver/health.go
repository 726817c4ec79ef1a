package apiserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// Check is one named condition of the server's health.
type Check struct {
	Name string
	// Live counts for /livez too; others are asked by /readyz and /healthz.
	Live bool
	// Ready counts for /readyz alone.
	Ready bool
	// Run tells what is wrong; nil: nothing.
	Run func(*http.Request) error
}

// HealthPaths are the paths under which the checks, and the server's own, can
// be asked.
func HealthPaths(checks []Check) []string {
	out := []string{"/readyz/shutdown"}
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		out = append(out, path, path+"/ping")
		for _, c := range asked(path, checks) {
			out = append(out, path+"/"+c.Name)
		}
	}
	return out
}

// asked are the checks that count for a path.
func asked(path string, checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool {
		return path == "/livez" && !c.Live || path != "/readyz" && c.Ready
	})
}

// ownHandlers adds the server's own paths to the given ones.
func (s *Server) ownHandlers(given map[string]http.Handler) map[string]http.Handler {
	out := map[string]http.Handler{}
	checks := append([]Check{{Name: "ping", Live: true, Run: func(*http.Request) error { return nil }}}, s.Checks...)
	checks = append(checks, Check{Name: "shutdown", Ready: true, Run: s.notStopping})
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		of := asked(path, checks)
		out[path] = s.healthHandler(path, of)
		for _, c := range of {
			out[path+"/"+c.Name] = s.healthHandler(path, []Check{c})
		}
	}
	out["/version"] = s.versionHandler()
	out["/metrics/slis"] = s.slis.handler()
	out["/metrics"] = promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{})
	maps.Copy(out, s.flow.Handlers())
	for name, h := range map[string]http.HandlerFunc{"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile,
		"symbol": pprof.Symbol, "trace": pprof.Trace} {
		out["/debug/pprof/"+name] = h // for those whom RBAC lets in: administrators
	}
	maps.Copy(out, given)
	return out
}

func (s *Server) notStopping(*http.Request) error {
	if s.stopping.Err() != nil {
		return fmt.Errorf("process is shutting down")
	}
	return nil
}

// healthHandler answers with ok, or with every check's state when asked for
// it or when one fails.
func (s *Server) healthHandler(path string, checks []Check) http.Handler {
	name := strings.TrimPrefix(path, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		excluded := r.URL.Query()["exclude"]
		var lines strings.Builder
		failed := false
		for _, c := range checks {
			if slices.Contains(excluded, c.Name) {
				fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.Name)
				continue
			}
			err := c.Run(r)
			s.slis.observe(c.Name, name, err)
			switch {
			case err != nil:
				failed = true
				fmt.Fprintf(&lines, "[-]%s failed: reason withheld\n", c.Name)
			default:
				fmt.Fprintf(&lines, "[+]%s ok\n", c.Name)
			}
		}
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		_, verbose := r.URL.Query()["verbose"]
		switch {
		case failed:
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "%s%s check failed\n", lines.String(), name)
		case verbose:
			fmt.Fprintf(w, "%s%s check passed\n", lines.String(), name)
		default:
			fmt.Fprint(w, "ok")
		}
	})
}

func (s *Server) versionHandler() http.Handler {
	body, _ := json.MarshalIndent(s.Version, "", "  ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			s.fail(w, r, verb.MethodNotAllowed())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
}
