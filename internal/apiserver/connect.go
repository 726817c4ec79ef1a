package apiserver

import (
	"net/http"
	"strings"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/apiserver/verb"

	"k8s.io/apimachinery/pkg/api/errors"
)

// connect hands a request to the endpoint that answers with its own stream.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, c *call, connect endpoint.Connect) error {
	k := c.kind
	req := &request.Request{Verb: request.Verb(c.info.Verb), Kind: k, Subresource: c.info.Subresource, Namespace: c.info.Namespace, Name: c.info.Name}
	if !k.Namespaced {
		req.Namespace = ""
	}
	if err := s.mayOpen(r, c); err != nil {
		return err
	}
	resource := s.Cache.Of(k)
	name := objectName(c)
	item, found := resource.Get(req.Namespace, name)
	if !found {
		return errors.NewNotFound(k.GroupResource(), name)
	}
	if err := s.admitConnection(r, c, req.Namespace, name); err != nil {
		return err
	}
	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	conn := endpoint.Connection{Request: req, User: c.user, Object: verb.View(k, item), Path: rest(c, r)}
	err := connect(w, r.WithContext(ctx), conn)
	if seen, ok := w.(*seenWriter); ok && seen.status != 0 {
		if err != nil {
			s.Logger.Debug("connection ended", "path", r.URL.Path, "error", err)
		}
		return nil
	}
	return err
}

// objectName is the parent's name: proxies put scheme and port around it.
func objectName(c *call) string {
	name := c.info.Name
	if c.info.Subresource != "proxy" {
		return name
	}
	switch parts := strings.Split(name, ":"); len(parts) {
	case 3:
		return parts[1]
	case 2:
		return parts[0]
	}
	return name
}

// rest is the path behind the subresource, with its last slash if there is
// one.
func rest(c *call, r *http.Request) string {
	if c.info.Subresource != "proxy" {
		return ""
	}
	out := ""
	if len(c.info.Rest) > 0 {
		out = "/" + strings.Join(c.info.Rest, "/")
	}
	if strings.HasSuffix(r.URL.Path, "/") {
		out += "/"
	}
	return out
}

// mayOpen asks for the permission to create where a stream that acts on a
// container is opened by GET, as a WebSocket has to be: reading is not enough.
func (s *Server) mayOpen(r *http.Request, c *call) error {
	switch c.info.Subresource {
	case "exec", "attach", "portforward":
	default:
		return nil
	}
	if c.info.Verb != "get" {
		return nil
	}
	a := attributes(c)
	a.Verb = "create"
	return s.allowed(r.Context(), a)
}
