package apiserver

import (
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	genericrequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/negotiate"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// dispatch finds who answers a request that came through the chain.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	c := callOf(r)
	if s.Aggregated != nil {
		if h := s.Aggregated(r.URL.Path); h != nil {
			s.pass(w, r, c, h)
			return
		}
	}
	if !c.info.Resource {
		s.plain(w, r)
		return
	}
	k := s.Catalog.Resource(c.info.GVR())
	if k == nil {
		if s.Extension != nil {
			s.Extension.ServeHTTP(w, r)
			return
		}
		if !s.knownGroup(c.info.Group) {
			http.NotFound(w, r)
			return
		}
		s.fail(w, r, verb.NotServed())
		return
	}
	c.kind = k
	if c.longRunning() {
		open := s.metrics.of(labelsOf(r, c)).running
		open.Inc()
		defer open.Dec()
	}
	if err := s.serve(w, r, c, k); err != nil {
		s.fail(w, r, err)
	}
}

// pass hands a request to the server that answers for its group.
func (s *Server) pass(w http.ResponseWriter, r *http.Request, c *call, h http.Handler) {
	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	h.ServeHTTP(w, r.WithContext(genericrequest.WithUser(ctx, c.user)))
}

// knownGroup tells whether any version of a group is served. Upstream answers
// for other groups as for any path that it does not know.
func (s *Server) knownGroup(name string) bool {
	return s.Catalog.HasGroup(name)
}

// plain answers paths that are no API requests.
func (s *Server) plain(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if h := s.Handlers[path]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	for at := len(path); at > 0; at = strings.LastIndexByte(path[:at-1], '/') + 1 {
		if h := s.Handlers[path[:at]]; h != nil && path[at-1] == '/' {
			h.ServeHTTP(w, r)
			return
		}
		if at == 1 {
			break
		}
	}
	if strings.HasPrefix(path, "/apis/") || strings.HasPrefix(path, "/api/") {
		if s.Extension != nil {
			s.Extension.ServeHTTP(w, r)
			return
		}
	}
	http.NotFound(w, r)
}

// serve answers a request for a kind of the catalogue.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, c *call, k *api.Kind) error {
	verbs := methods(c, k)
	switch {
	case len(verbs) == 0:
		return verb.NotServed()
	case !slices.Contains(verbs, methodVerb(c.info.Verb)) && !passesOn(r, c):
		return verb.MethodNotAllowed()
	}
	if connect := s.Endpoints.ConnectOf(k.GroupResource(), c.info.Subresource); connect != nil {
		return s.connect(w, r, c, connect)
	}
	answer, err := negotiate.Accept(r.Header.Get("Accept"), c.info.Verb == "watch", !k.Virtual)
	if err != nil {
		return err
	}
	if k.Custom != nil && answer.Format == codec.Protobuf && answer.Target == negotiate.Whole {
		c.answer = answer
		return noProtobuf()
	}
	query := r.URL.Query()
	if c.info.Verb == "patch" {
		if kind, err := patchType(r); k.Custom != nil && (err != nil || kind == types.StrategicMergePatchType) {
			return unknownPatch()
		} else if err != nil {
			return err
		}
	}
	if text := deprecation(c.info.GVR()); text != "" {
		c.warn(text)
	}
	if k.Custom != nil && k.Deprecated != "" {
		c.warn(k.Deprecated)
	}
	answer.Pretty = answer.Pretty || negotiate.Pretty(query.Get("pretty"), r.UserAgent())
	c.answer = answer
	release, err := s.hold(r.Context(), s.bodyBudget, bodyLength(r))
	if err != nil {
		return err
	}
	defer release()
	req, err := s.read(w, r, c, query)
	if err != nil {
		return err
	}
	recordRequest(c.record, req)
	if req.Verb == request.Watch {
		return s.serveWatch(w, r, c, req)
	}
	res, err := s.verbs.Do(r.Context(), c.user, req)
	if err != nil {
		return err
	}
	return s.respond(w, r, c, res)
}

// passesOn tells of the one method that has no verb, and that proxies pass on
// like every other.
func passesOn(r *http.Request, c *call) bool {
	return r.Method == http.MethodOptions && c.info.Subresource == "proxy"
}

// methodVerb is the verb by which a method is offered: a watch is a way of
// listing.
func methodVerb(v string) string {
	if v == "watch" {
		return "list"
	}
	return v
}

// methods are the verbs that a path offers; none where there is no such path.
func methods(c *call, k *api.Kind) []string {
	i := c.info
	inNamespace := i.Namespace != "" && k.Resource != "namespaces"
	switch {
	case i.Extra, inNamespace && !k.Namespaced:
		return nil
	case i.OldWatch:
		return offered(k, "list")
	case k.Namespaced && !inNamespace && i.Name != "":
		return nil
	case k.Namespaced && !inNamespace && !k.Virtual:
		return offered(k, "list")
	case i.Subresource != "":
		return subresourceMethods(k, i.Subresource)
	case i.Name != "":
		return offered(k, "get", "update", "patch", "delete")
	}
	return offered(k, "create", "list", "deletecollection")
}

func offered(k *api.Kind, verbs ...string) []string {
	var out []string
	for _, v := range verbs {
		if k.HasVerb(v) {
			out = append(out, v)
		}
	}
	return out
}

func subresourceMethods(k *api.Kind, name string) []string {
	if name == "status" && k.Status != nil {
		return []string{"get", "patch", "update"}
	}
	sub := verb.Subresource(k, name)
	if sub == nil {
		return nil
	}
	return sub.Verbs
}
