package apiserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one named condition of the server's health.
type Check struct {
	Name string
	// Live counts for /livez too; others are asked by /readyz and /healthz.
	Live bool
	// Run tells what is wrong; nil: nothing.
	Run func(*http.Request) error
}

// ownHandlers adds the server's own paths to the given ones.
func (s *Server) ownHandlers(given map[string]http.Handler) map[string]http.Handler {
	out := map[string]http.Handler{}
	checks := append([]Check{{Name: "ping", Live: true, Run: func(*http.Request) error { return nil }}}, s.Checks...)
	for path, live := range map[string]bool{"/healthz": false, "/livez": true, "/readyz": false} {
		asked := slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return live && !c.Live })
		if path == "/readyz" {
			asked = append(asked, Check{Name: "shutdown", Run: s.notStopping})
		}
		out[path] = healthHandler(path, asked)
		for _, c := range asked {
			out[path+"/"+c.Name] = healthHandler(path, []Check{c})
		}
	}
	out["/version"] = s.versionHandler()
	out["/metrics"] = promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{})
	maps.Copy(out, s.flow.Handlers())
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
func healthHandler(path string, checks []Check) http.Handler {
	name := strings.TrimPrefix(path, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		excluded := r.URL.Query()["exclude"]
		var lines strings.Builder
		failed := false
		for _, c := range checks {
			switch {
			case slices.Contains(excluded, c.Name):
				fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.Name)
			case c.Run(r) != nil:
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
			s.fail(w, r, wrongMethod())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
}
