package audit

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	authnv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Request is what an event tells of a request beside what it asks for.
type Request struct {
	ID        string
	URI       string
	UserAgent string
	SourceIPs []string
	Received  time.Time
}

// maxUserAgent bounds what an event repeats of a client's name for itself.
const maxUserAgent = 1024

// Record is one request's event. A nil Record takes everything and writes
// nothing. Safe for concurrent use.
type Record struct {
	log    *Log
	config audit.RequestAuditConfig
	// notes holds the annotations: whoever has the request's context adds them.
	notes *audit.AuditContext

	mu    sync.Mutex
	event auditinternal.Event // guarded by mu
	ended bool                // guarded by mu
}

// Prepare gives the context a place for annotations, which may come before
// the policy has been asked (from authenticators).
func (l *Log) Prepare(ctx context.Context) context.Context {
	if l == nil {
		return ctx
	}
	return audit.WithAuditContext(ctx)
}

// Begin asks the policy and writes that the request was received. The result
// is nil where the policy wants nothing of it. ctx comes from Prepare.
func (l *Log) Begin(ctx context.Context, a authorizer.Attributes, r Request) *Record {
	if l == nil {
		return nil
	}
	rec := l.begin(ctx, a, r)
	if rec != nil {
		rec.stage(auditinternal.StageRequestReceived)
	}
	return rec
}

func (l *Log) begin(ctx context.Context, a authorizer.Attributes, r Request) *Record {
	config := (*l.evaluator.Load()).EvaluatePolicyRule(a)
	notes := audit.AuditContextFrom(ctx)
	_ = notes.Init(config, nil) // from here on it knows whether annotations are wanted
	if config.Level == auditinternal.LevelNone {
		return nil
	}
	rec := &Record{log: l, config: config, notes: notes}
	rec.event = auditinternal.Event{
		Level: config.Level, AuditID: types.UID(r.ID), RequestURI: r.URI, Verb: a.GetVerb(),
		SourceIPs: r.SourceIPs, UserAgent: shortened(r.UserAgent),
		RequestReceivedTimestamp: metav1.NewMicroTime(r.Received),
	}
	if u := a.GetUser(); u != nil {
		rec.event.User = describe(u)
	}
	if a.IsResourceRequest() {
		rec.event.ObjectRef = &auditinternal.ObjectReference{
			Namespace: a.GetNamespace(), Name: a.GetName(), Resource: a.GetResource(), Subresource: a.GetSubresource(),
			APIGroup: a.GetAPIGroup(), APIVersion: a.GetAPIVersion(),
		}
	}
	return rec
}

func shortened(agent string) string {
	const mark = "...TRUNCATED"
	if len(agent) <= maxUserAgent {
		return agent
	}
	return agent[:maxUserAgent-len(mark)] + mark
}

func describe(u user.Info) authnv1.UserInfo {
	out := authnv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups()}
	for key, values := range u.GetExtra() {
		if out.Extra == nil {
			out.Extra = map[string]authnv1.ExtraValue{}
		}
		out.Extra[key] = values
	}
	return out
}

// stage writes the event as it is now, unless the policy leaves the stage out.
func (r *Record) stage(stage auditinternal.Stage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || slices.Contains(r.config.OmitStages, stage) {
		return
	}
	r.event.Stage = stage
	r.event.StageTimestamp = metav1.NewMicroTime(time.Now())
	if stage == auditinternal.StageRequestReceived {
		r.event.StageTimestamp = r.event.RequestReceivedTimestamp
	}
	r.event.Annotations = r.notes.GetEventAnnotations()
	r.log.events.WithLabelValues().Inc()
	if !r.log.sink.ProcessEvents(&r.event) {
		r.log.errors.WithLabelValues("backend").Inc()
	}
}

func (r *Record) change(f func(e *auditinternal.Event)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.event)
}

// Impersonated tells in whose name the request is carried out, and by which
// constrained permission (KEP-5284); empty: by the older, general one.
func (r *Record) Impersonated(u user.Info, constraint string) {
	r.change(func(e *auditinternal.Event) {
		as := describe(u)
		e.ImpersonatedUser = &as
		if constraint != "" {
			e.AuthenticationMetadata = &auditinternal.AuthenticationMetadata{ImpersonationConstraint: constraint}
		}
	})
}

// WantsRequest tells whether the body of the request is to be written.
func (r *Record) WantsRequest() bool {
	return r != nil && r.config.Level.GreaterOrEqual(auditinternal.LevelRequest)
}

// WantsResponse tells whether the body of the answer is to be written.
func (r *Record) WantsResponse() bool {
	return r != nil && r.config.Level.GreaterOrEqual(auditinternal.LevelRequestResponse)
}

// Object completes the reference by what the request's body names.
func (r *Record) Object(obj metav1.Object) {
	r.change(func(e *auditinternal.Event) {
		ref := e.ObjectRef
		if ref == nil {
			return
		}
		if ref.Namespace == "" {
			ref.Namespace = obj.GetNamespace()
		}
		if ref.Name == "" {
			ref.Name = obj.GetName()
		}
		if ref.UID == "" {
			ref.UID = obj.GetUID()
		}
		if ref.ResourceVersion == "" {
			ref.ResourceVersion = obj.GetResourceVersion()
		}
	})
}

// RequestBody keeps the request's JSON where the policy wants it.
func (r *Record) RequestBody(body []byte) {
	if r.WantsRequest() {
		body = r.trimmed(body)
		r.change(func(e *auditinternal.Event) { e.RequestObject = unknown(body) })
	}
}

// ResponseBody keeps the answer's JSON where the policy wants it.
func (r *Record) ResponseBody(body []byte) {
	if r.WantsResponse() {
		body = r.trimmed(body)
		r.change(func(e *auditinternal.Event) { e.ResponseObject = unknown(body) })
	}
}

func (r *Record) trimmed(body []byte) []byte {
	if r.config.OmitManagedFields {
		return withoutManagedFields(body)
	}
	return body
}

func unknown(body []byte) *runtime.Unknown {
	return &runtime.Unknown{Raw: body, ContentType: runtime.ContentTypeJSON}
}

// Status keeps an answer that is a Status.
func (r *Record) Status(s *metav1.Status) {
	r.change(func(e *auditinternal.Event) {
		e.ResponseStatus = &metav1.Status{Status: s.Status, Message: s.Message, Reason: s.Reason, Details: s.Details, Code: s.Code}
	})
}

// Started writes that the answer of a long request began.
func (r *Record) Started(code int) {
	if r == nil {
		return
	}
	r.setCode(code)
	r.stage(auditinternal.StageResponseStarted)
}

// Done writes that the answer is complete. Nothing is written afterwards.
func (r *Record) Done(code int) { r.end(code, auditinternal.StageResponseComplete) }

// Panicked writes that the request ended the handler.
func (r *Record) Panicked() {
	r.change(func(e *auditinternal.Event) {
		e.ResponseStatus = &metav1.Status{Code: http.StatusInternalServerError, Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError,
			Message: "APIServer panic'd"}
	})
	r.end(http.StatusInternalServerError, auditinternal.StagePanic)
}

func (r *Record) end(code int, stage auditinternal.Stage) {
	if r == nil {
		return
	}
	r.setCode(code)
	r.stage(stage)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func (r *Record) setCode(code int) {
	r.change(func(e *auditinternal.Event) {
		if e.ResponseStatus == nil {
			e.ResponseStatus = &metav1.Status{}
		}
		e.ResponseStatus.Code = int32(code)
	})
}

// Refused writes a request of somebody who is not who they claim to be.
// attempted names the ways in which they tried.
func (l *Log) Refused(ctx context.Context, a authorizer.Attributes, r Request, attempted string) {
	if l == nil {
		return
	}
	rec := l.begin(ctx, a, r)
	if rec == nil {
		return
	}
	message := "Authentication failed, no credentials provided"
	if attempted != "" {
		message = "Authentication failed, attempted: " + attempted
	}
	rec.Status(&metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonUnauthorized, Message: message, Code: http.StatusUnauthorized})
	rec.stage(auditinternal.StageResponseStarted)
}
