package discovery

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

// Handler answers /api, /apis and the discovery paths below them. It is safe
// for concurrent use.
type Handler struct {
	builtin       []Group
	serverAddress string

	mu      sync.Mutex         // orders changes
	extra   map[string][]Group // guarded by mu: by source
	current atomic.Pointer[documents]
}

// documents are everything that is answered for one set of groups.
type documents struct {
	groups     []Group
	legacy     map[string]*answer
	aggregated map[string]*answer
}

// New serves the groups of a catalogue. serverAddress (host:port) is what the
// legacy list of core versions tells clients.
func New(c *catalog.Catalog, serverAddress string) *Handler {
	h := &Handler{builtin: Builtin(c), serverAddress: serverAddress, extra: map[string][]Group{}}
	h.SetExtra("", nil)
	return h
}

// SetExtra replaces the groups of a source (custom resources, aggregated
// servers), which come on top of the built-in ones. The handler keeps the
// list: it must not be changed afterwards.
func (h *Handler) SetExtra(source string, extra []Group) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.extra[source] = extra
	var all []Group
	for _, name := range slices.Sorted(maps.Keys(h.extra)) {
		all = append(all, h.extra[name]...)
	}
	groups := merge(h.builtin, all)
	h.current.Store(&documents{
		groups: groups, legacy: legacyAnswers(groups, h.serverAddress), aggregated: aggregatedAnswers(groups),
	})
}

// Groups are the groups that are served now, in discovery's order.
func (h *Handler) Groups() []Group { return h.current.Load().groups }

// Paths are the paths that are answered now, in alphabetical order.
func (h *Handler) Paths() []string {
	out := []string{"/apis/"}
	for path := range h.current.Load().legacy {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

// Serves tells whether the path is one of discovery's.
func (h *Handler) Serves(path string) bool {
	return h.current.Load().legacy[strings.TrimSuffix(path, "/")] != nil
}

// ServeHTTP answers a GET of a discovery path; 404 for all others.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	docs := h.current.Load()
	path := strings.TrimSuffix(r.URL.Path, "/")
	legacy := docs.legacy[path]
	if legacy == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "405: Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	aggregated := docs.aggregated[path]
	want, ok := choose(r.Header.Get("Accept"), aggregated != nil)
	switch {
	case !ok:
		writeNotAcceptable(w)
	case want.removed:
		w.WriteHeader(http.StatusNotFound)
	case want.aggregated:
		writeAggregated(w, r, aggregated, want.mediaType)
	default:
		write(w, r, legacy, want.mediaType, "")
	}
}

func writeAggregated(w http.ResponseWriter, r *http.Request, a *answer, mediaType string) {
	w.Header().Set("Vary", "Accept")
	etag := a.etag()
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	write(w, r, a, mediaType, aggregatedSuffix)
}

func write(w http.ResponseWriter, r *http.Request, a *answer, mediaType, suffix string) {
	body, err := a.encode(mediaType, wantsPretty(r))
	if err != nil {
		http.Error(w, fmt.Sprintf("encoding discovery: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType+suffix)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away is no error of ours
	}
}

// wantsPretty is upstream's rule: asked for, or by a program that shows the
// answer to a person.
func wantsPretty(r *http.Request) bool {
	if v := r.URL.Query().Get("pretty"); v != "" {
		pretty, err := strconv.ParseBool(v)
		return err == nil && pretty
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

func writeNotAcceptable(w http.ResponseWriter) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Code:     http.StatusNotAcceptable,
		Reason:   metav1.StatusReasonNotAcceptable,
		Message:  "only the following media types are accepted: " + strings.Join(mediaTypes(), ", "),
	}
	body, err := json.Marshal(status)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotAcceptable)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusNotAcceptable)
	_, _ = w.Write(append(body, '\n'))
}
