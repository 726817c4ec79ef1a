package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/apiserver/authz"
)

func (s *Server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				s.Logger.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				http.Error(w, fmt.Sprintf("This request caused apiserver to panic. Look in the logs for details: %s %s", r.Method, r.URL.Path), http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// bound gives a request its time: the server's, or the client's if shorter.
func (s *Server) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if callOf(r).longRunning() {
			next.ServeHTTP(w, r)
			return
		}
		limit := s.RequestTimeout
		if asked, err := time.ParseDuration(r.URL.Query().Get("timeout")); err == nil && asked > 0 && asked < limit {
			limit = asked
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, inside := r.Context().Value(insideKey{}).(user.Info); inside {
			callOf(r).user = u
			next.ServeHTTP(w, r)
			return
		}
		resp, known, err := s.Authenticator.AuthenticateRequest(r)
		if err != nil || !known {
			if err != nil {
				s.Logger.Debug("authentication failed", "path", r.URL.Path, "error", err)
			}
			s.refused(r, callOf(r))
			s.fail(w, r, unauthorized())
			return
		}
		r.Header.Del("Authorization") // nobody behind this needs it, nor should log it
		callOf(r).user = resp.User
		next.ServeHTTP(w, r)
	})
}

func unauthorized() error {
	return &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnauthorized,
		Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized",
	}}
}

func mutates(verb string) bool {
	switch verb {
	case "get", "list", "watch":
		return false
	}
	return true
}

func (s *Server) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.admit(r.Context(), requested(callOf(r), r)); err != nil {
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit is allowed for what a request itself asks for: the audit log is told.
func (s *Server) admit(ctx context.Context, a authorizer.Attributes) error {
	decision, reason, err := s.Authorizer.Authorize(ctx, a)
	s.noteDecision(ctx, decision, reason, err)
	return s.verdict(a, decision, reason, err)
}

// allowed asks the authorizer and gives its refusal as an API status.
func (s *Server) allowed(ctx context.Context, a authorizer.Attributes) error {
	decision, reason, err := s.Authorizer.Authorize(ctx, a)
	return s.verdict(a, decision, reason, err)
}

func (s *Server) verdict(a authorizer.Attributes, decision authorizer.Decision, reason string, err error) error {
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil && reason == "" {
		s.Logger.Debug("authorization failed", "user", a.GetUser().GetName(), "error", err)
	}
	return authz.Forbidden(a, reason)
}

// requested is what a request asks for, in whoever's name it is by now.
func requested(c *call, r *http.Request) authorizer.AttributesRecord {
	a := attributes(c)
	if c.info.Resource && c.info.Name == "" && r.URL.RawQuery != "" {
		if selector := r.URL.Query().Get("fieldSelector"); selector != "" {
			narrow(&a, selector)
		}
	}
	return a
}

func attributes(c *call) authorizer.AttributesRecord {
	i := c.info
	name := i.Name
	if name == "" {
		name = i.Selected
	}
	return authorizer.AttributesRecord{
		User: c.user, Verb: i.Verb, Namespace: i.Namespace, APIGroup: i.Group, APIVersion: i.Version,
		Resource: i.Plural, Subresource: i.Subresource, Name: name, ResourceRequest: i.Resource, Path: i.Path,
	}
}
