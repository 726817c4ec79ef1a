package kubeletapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// How long answers are kept, as upstream keeps them, and how many.
const (
	allowedFor = 5 * time.Minute
	deniedFor  = 30 * time.Second
	maxAnswers = 1024
)

// caller is who a client certificate or a token names.
type caller struct {
	name, uid string
	groups    []string
	extra     map[string]authorizationv1.ExtraValue
}

// key tells callers apart of whom the same may not be true.
func (c caller) key() string {
	parts := append([]string{c.name, c.uid}, c.groups...)
	for _, name := range slices.Sorted(maps.Keys(c.extra)) {
		parts = append(append(parts, "\x01"+name), c.extra[name]...)
	}
	return strings.Join(parts, "\x00")
}

// question is one thing that a caller may be allowed.
type question struct{ caller, verb, subresource string }

type answer struct {
	allowed bool
	until   time.Time
}

// authorizer asks the API server who callers are, and what they may do.
type authorizer struct {
	client *client.Client
	node   string

	mu struct {
		sync.Mutex
		answers map[question]answer
		tokens  map[[sha256.Size]byte]identity
	}
}

func newAuthorizer(c *client.Client, node string) *authorizer {
	a := &authorizer{client: c, node: node}
	a.mu.answers = make(map[question]answer)
	a.mu.tokens = make(map[[sha256.Size]byte]identity)
	return a
}

// guard lets through whom the cluster allows.
func (a *authorizer) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := a.identify(r)
		if err != nil {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		subresources := subresourcesOf(r.URL.Path)
		for _, sub := range subresources {
			allowed, err := a.allowed(r.Context(), who, verbOf(r.Method), sub, r.URL.Path)
			if err != nil {
				http.Error(w, fmt.Sprintf("Authorization error (user=%s, verb=%s, resource=nodes, subresource=%s)", who.name, verbOf(r.Method), sub), http.StatusInternalServerError)
				return
			}
			if allowed {
				next.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=%v)", who.name, verbOf(r.Method), subresources), http.StatusForbidden)
	})
}

// peers lets through nodes of the cluster, known by their certificates: what
// they ask each other is no matter of roles.
func (a *authorizer) peers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		subject := r.TLS.VerifiedChains[0][0].Subject
		if !slices.Contains(subject.Organization, "system:nodes") || !strings.HasPrefix(subject.CommonName, "system:node:") {
			http.Error(w, fmt.Sprintf("Forbidden (user=%s): for nodes of the cluster alone", subject.CommonName), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func verbOf(method string) string {
	switch method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	return "get"
}

// subresourcesOf names the subresources of the node of which one has to be
// allowed for a path (KEP-2862: fine ones before proxy).
func subresourcesOf(path string) []string {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch top {
	case "stats", "metrics", "checkpoint", "statusz":
		return []string{top}
	case "logs":
		return []string{"log"}
	case "flagz":
		return []string{"configz"}
	case "healthz", "configz":
		return []string{top, "proxy"}
	case "pods", "runningpods":
		return []string{"pods", "proxy"}
	}
	return []string{"proxy"}
}

func (a *authorizer) allowed(ctx context.Context, who caller, verb, subresource, path string) (bool, error) {
	q := question{caller: who.key(), verb: verb, subresource: subresource}
	now := time.Now()
	a.mu.Lock()
	known, ok := a.mu.answers[q]
	a.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.allowed, nil
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: who.name, UID: who.uid, Groups: who.groups, Extra: who.extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Version: "v1", Resource: "nodes", Subresource: subresource, Name: a.node,
		},
	}}
	got, err := client.For[*authorizationv1.SubjectAccessReview](a.client).Create(ctx, review)
	if err != nil {
		return false, fmt.Errorf("authorize %s %s: %w", verb, path, err)
	}
	a.keep(q, got.Status.Allowed, now)
	return got.Status.Allowed, nil
}

func (a *authorizer) keep(q question, allowed bool, now time.Time) {
	life := deniedFor
	if allowed {
		life = allowedFor
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.mu.answers) >= maxAnswers {
		clear(a.mu.answers)
	}
	a.mu.answers[q] = answer{allowed: allowed, until: now.Add(life)}
}
