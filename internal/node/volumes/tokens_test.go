package volumes

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
)

// issuer issues tokens by a clock of its own until it is away.
type issuer struct {
	request.Transport
	asked int
	away  bool
	ahead time.Duration
}

func (i *issuer) Do(_ context.Context, req *request.Request) (runtime.Object, error) {
	i.asked++
	if i.away {
		return nil, errors.New("connection refused")
	}
	out := req.Object.(*authenticationv1.TokenRequest).DeepCopy()
	life := time.Duration(*out.Spec.ExpirationSeconds) * time.Second
	out.Status = authenticationv1.TokenRequestStatus{Token: "t", ExpirationTimestamp: metav1.NewTime(time.Now().Add(i.ahead + life))}
	return out, nil
}

// A token whose renewal fails, or seems to be over when it comes, is asked for
// now and then, not all the time.
func TestTokensAreRenewedWithPauses(t *testing.T) {
	for name, server := range map[string]*issuer{"away": {}, "behind": {ahead: -2 * time.Hour}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				held := newTokens(client.New(server, catalog.New()))
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default", UID: "u"}}
				// As the pod's worker does: again at the time that next says.
				for began := time.Now(); time.Since(began) < 2*time.Hour; {
					if token, err := held.get(t.Context(), pod, &corev1.ServiceAccountTokenProjection{}); err != nil || token != "t" {
						t.Fatal(token, err)
					}
					if server.asked > 500 {
						t.Fatalf("%d requests within %s", server.asked, time.Since(began))
					}
					server.away = name == "away"
					time.Sleep(time.Until(held.next("u")))
				}
			})
		})
	}
}

// When a token is to be renewed is a time of day: while the machine sleeps the
// other clock stands still, and the token ages.
func TestTokensAgeWhileTheMachineSleeps(t *testing.T) {
	server := &issuer{}
	held := newTokens(client.New(server, catalog.New()))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default", UID: "u"}}
	for _, server.away = range []bool{false, true} {
		if _, err := held.get(t.Context(), pod, &corev1.ServiceAccountTokenProjection{}); err != nil {
			t.Fatal(err)
		}
		if next := held.next("u"); next != next.Round(0) {
			t.Errorf("to be renewed at %v", next)
		}
		expired := held.mu.held["u"]
		for key, h := range expired { // as after the sleep
			expired[key] = heldToken{token: h.token, renew: time.Now().Round(0)}
		}
	}
	if server.asked != 2 {
		t.Errorf("%d requests", server.asked)
	}
}
