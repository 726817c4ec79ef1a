package volumes

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
)

const (
	defaultTokenSeconds = 3600
	// longestUse is the age at which a token is renewed however long it lives.
	longestUse = 24 * time.Hour
	// renewPause is the least time between two requests for the same token: the
	// server may be away, or its clock another.
	renewPause = 30 * time.Second
)

// tokens asks for service account tokens that are bound to their pods, and
// keeps each until four fifths of its life are over.
type tokens struct {
	client *client.Client

	mu struct {
		sync.Mutex
		held map[types.UID]map[string]heldToken
	}
}

type heldToken struct {
	token string
	renew time.Time
}

func newTokens(c *client.Client) *tokens {
	t := &tokens{client: c}
	t.mu.held = make(map[types.UID]map[string]heldToken)
	return t
}

func (t *tokens) get(ctx context.Context, pod *corev1.Pod, src *corev1.ServiceAccountTokenProjection) (string, error) {
	seconds := int64(defaultTokenSeconds)
	if src.ExpirationSeconds != nil {
		seconds = *src.ExpirationSeconds
	}
	key := fmt.Sprintf("%s\x00%d", src.Audience, seconds)
	t.mu.Lock()
	held, ok := t.mu.held[pod.UID][key]
	t.mu.Unlock()
	if ok && time.Now().Before(held.renew) {
		return held.token, nil
	}
	asked := time.Now().Round(0) // a token ages also while the machine sleeps, and its clock stands still
	req := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID,
		},
	}}
	if src.Audience != "" {
		req.Spec.Audiences = []string{src.Audience}
	}
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	obj, err := client.For[*corev1.ServiceAccount](t.client).Act(ctx, pod.Namespace, account, "token", req)
	if err != nil {
		// An older token is better than none while the server is away.
		if ok {
			t.putOff(pod.UID, key, asked)
			return held.token, nil
		}
		return "", err
	}
	got, isToken := obj.(*authenticationv1.TokenRequest)
	if !isToken || strings.TrimSpace(got.Status.Token) == "" {
		return "", fmt.Errorf("the server answered a token request with %T and no token", obj)
	}
	t.keep(pod.UID, key, got, asked)
	return got.Status.Token, nil
}

func (t *tokens) keep(uid types.UID, key string, got *authenticationv1.TokenRequest, asked time.Time) {
	life := got.Status.ExpirationTimestamp.Sub(asked)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.held[uid] == nil {
		t.mu.held[uid] = make(map[string]heldToken)
	}
	t.mu.held[uid][key] = heldToken{token: got.Status.Token, renew: asked.Add(max(min(life*4/5, longestUse), renewPause))}
}

// putOff has a token that could not be renewed renewed later.
func (t *tokens) putOff(uid types.UID, key string, asked time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if held, ok := t.mu.held[uid][key]; ok {
		held.renew = asked.Add(renewPause)
		t.mu.held[uid][key] = held
	}
}

// next is when the pod's first token is to be renewed; zero when it has none.
func (t *tokens) next(uid types.UID) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	var first time.Time
	for _, h := range t.mu.held[uid] {
		if first.IsZero() || h.renew.Before(first) {
			first = h.renew
		}
	}
	return first
}

func (t *tokens) drop(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.held, uid)
}
