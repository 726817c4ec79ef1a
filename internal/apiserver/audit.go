package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	libaudit "k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/audit"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// audited writes what the audit policy wants of a request.
func (s *Server) audited(next http.Handler) http.Handler {
	if s.Audit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r)
		c.record = s.Audit.Begin(r.Context(), attributes(c), auditRequest(r, c))
		if c.record == nil {
			next.ServeHTTP(w, r)
			return
		}
		if c.longRunning() {
			c.seen.onHeader = c.record.Started
		}
		defer func() {
			if p := recover(); p != nil {
				c.record.Panicked()
				panic(p)
			}
			c.record.Done(c.seen.code())
		}()
		next.ServeHTTP(w, r)
	})
}

// refused writes that somebody is not who they claim to be.
func (s *Server) refused(r *http.Request, c *call) {
	if s.Audit != nil {
		s.Audit.Refused(r.Context(), attributes(c), auditRequest(r, c), attempted(r))
	}
}

func auditRequest(r *http.Request, c *call) audit.Request {
	out := audit.Request{ID: c.auditID, URI: r.URL.RequestURI(), UserAgent: r.UserAgent(), Received: c.started}
	for _, ip := range utilnet.SourceIPs(r) {
		out.SourceIPs = append(out.SourceIPs, ip.String())
	}
	return out
}

// attempted names the credentials that a request bears.
func attempted(r *http.Request) string {
	var ways []string
	if _, _, ok := r.BasicAuth(); ok {
		ways = append(ways, "basic")
	}
	if scheme, _, ok := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " "); ok && strings.EqualFold(scheme, "bearer") {
		ways = append(ways, "bearer")
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		ways = append(ways, "x509")
	}
	return strings.Join(ways, ", ")
}

// Annotations by which events tell what authorization said.
const (
	decisionAnnotation = "authorization.k8s.io/decision"
	reasonAnnotation   = "authorization.k8s.io/reason"
)

// noteDecision tells the request's event what authorization said.
func (s *Server) noteDecision(ctx context.Context, decision authorizer.Decision, reason string, err error) {
	switch {
	case s.Audit == nil:
	case decision == authorizer.DecisionAllow:
		libaudit.AddAuditAnnotations(ctx, decisionAnnotation, "allow", reasonAnnotation, reason)
	case err != nil:
		libaudit.AddAuditAnnotation(ctx, reasonAnnotation, "internal error")
	default:
		libaudit.AddAuditAnnotations(ctx, decisionAnnotation, "forbid", reasonAnnotation, reason)
	}
}

// recordRequest tells an event what a request brings along.
func recordRequest(rec *audit.Record, req *request.Request) {
	if rec == nil {
		return
	}
	if meta, ok := req.Object.(metav1.Object); ok {
		rec.Object(meta)
	}
	if !rec.WantsRequest() {
		return
	}
	switch req.Verb {
	case request.Create, request.Update:
		if req.Object != nil {
			rec.RequestBody(asJSON(req.Object))
		}
	case request.Patch:
		body := req.Body
		if req.PatchType == types.ApplyYAMLPatchType {
			body, _ = yaml.YAMLToJSON(body) // what is not YAML is refused later
		}
		if json.Valid(body) {
			rec.RequestBody(body)
		}
	case request.Delete, request.DeleteCollection:
		opts := req.DeleteOptions
		opts.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}
		if body, err := json.Marshal(&opts); err == nil {
			rec.RequestBody(body)
		}
	}
}

// asJSON is nil where an object cannot be encoded.
func asJSON(obj runtime.Object) []byte {
	body, err := codec.Encode(obj, obj.GetObjectKind().GroupVersionKind(), codec.JSON, false)
	if err != nil {
		return nil
	}
	return body
}

// recordResponse tells an event what is answered to a request from the wire.
func (s *Server) recordResponse(r *http.Request, c *call, res verb.Result) {
	if status, ok := res.Object.(*metav1.Status); ok {
		c.record.Status(status)
	}
	if !c.record.WantsResponse() {
		return
	}
	plain := *c
	plain.answer.Format, plain.answer.Pretty = codec.JSON, false
	encode, err := s.encoder(r, &plain, res)
	if err != nil {
		return // the answer itself fails the same way
	}
	if body, err := encode(); err == nil {
		c.record.ResponseBody(body.Bytes())
	}
}

// recordFailure tells an event what a request fails with.
func recordFailure(rec *audit.Record, status *metav1.Status) {
	rec.Status(status)
	if rec.WantsResponse() {
		if body, err := codec.Encode(status, statusKind, codec.JSON, false); err == nil {
			rec.ResponseBody(body)
		}
	}
}

// begin starts the event of a request of this process.
func (t *transport) begin(ctx context.Context, a authorizer.Attributes, req *request.Request) (context.Context, *audit.Record) {
	if t.server.Audit == nil {
		return ctx, nil
	}
	ctx = t.server.Audit.Prepare(ctx)
	rec := t.server.Audit.Begin(ctx, a, audit.Request{
		ID: uuid.NewString(), URI: pathOf(req), UserAgent: "knarr/in-process", SourceIPs: []string{"127.0.0.1"}, Received: time.Now(),
	})
	recordRequest(rec, req)
	return ctx, rec
}

// end completes the event of a request of this process.
func (t *transport) end(rec *audit.Record, res verb.Result, err error) {
	if rec == nil {
		return
	}
	if err != nil {
		status := statusOf(err)
		recordFailure(rec, &status)
		rec.Done(int(status.Code))
		return
	}
	if rec.WantsResponse() {
		if obj := res.Value(); obj != nil {
			rec.ResponseBody(asJSON(obj))
		}
	}
	rec.Done(res.Status)
}

// pathOf is the path that a request would have on the wire.
func pathOf(req *request.Request) string {
	gv := req.Kind.GVK.GroupVersion()
	path := "/apis/" + gv.String()
	if gv.Group == "" {
		path = "/api/" + gv.Version
	}
	if req.Namespace != "" && req.Kind.Namespaced {
		path += "/namespaces/" + req.Namespace
	}
	path += "/" + req.Kind.Resource
	for _, part := range []string{req.Name, req.Subresource} {
		if part != "" {
			path += "/" + part
		}
	}
	return path
}
