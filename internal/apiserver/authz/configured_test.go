package authz

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
	"github.com/knarr-io/knarr/internal/kubeconfig/kubeconfigtest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// judge is a webhook that allows jane, denies joe and has no opinion on others.
type judge struct {
	*httptest.Server
	asked atomic.Int32
	fail  atomic.Bool
}

func newJudge(t *testing.T) *judge {
	j := &judge{}
	j.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		j.asked.Add(1)
		if j.fail.Load() {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		review.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: review.Spec.User == "jane", Denied: review.Spec.User == "joe", Reason: "because"}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(j.Close)
	return j
}

func configuration(webhook, policy string) string {
	return fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: judge
  webhook:
    timeout: 3s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: %s
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}
    matchConditions:
    - expression: "request.resourceAttributes.namespace == 'ns'"
- {type: Node, name: node}
- {type: RBAC, name: rbac}
`, policy, webhook)
}

func configured(t *testing.T, text string) (*Authorizer, string) {
	t.Helper()
	w := authtest.New(t)
	z, err := New(w.Kinds, w.Objects, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "authorization.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := z.Configure(file); err != nil {
		t.Fatal(err)
	}
	return z, file
}

func (z *Authorizer) say(t *testing.T, name, namespace string, groups ...string) authorizer.Decision {
	t.Helper()
	decision, _, _ := z.Authorize(t.Context(), authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: name, Groups: groups}, Verb: "get", APIVersion: "v1", Resource: "pods", Namespace: namespace, Name: "p", ResourceRequest: true,
	})
	return decision
}

func TestWebhookInOrder(t *testing.T) {
	j := newJudge(t)
	z, _ := configured(t, configuration(kubeconfigtest.File(t, j.Server), "NoOpinion"))
	for _, c := range []struct {
		name, namespace string
		groups          []string
		want            authorizer.Decision
	}{
		{"jane", "ns", nil, authorizer.DecisionAllow},
		{"joe", "ns", nil, authorizer.DecisionDeny},
		{"jim", "ns", nil, authorizer.DecisionNoOpinion},
		{"jane", "other", nil, authorizer.DecisionNoOpinion}, // the condition does not match
		{"joe", "ns", []string{user.SystemPrivilegedGroup}, authorizer.DecisionAllow},
	} {
		for range 2 {
			if got := z.say(t, c.name, c.namespace, c.groups...); got != c.want {
				t.Errorf("%s in %s: %v, want %v", c.name, c.namespace, got, c.want)
			}
		}
	}
	if n := j.asked.Load(); n != 3 {
		t.Errorf("the webhook was asked %d times, want 3: answers are remembered", n)
	}
	if _, _, incomplete, _ := z.RulesFor(t.Context(), &user.DefaultInfo{Name: "jane"}, "ns"); !incomplete {
		t.Error("the rules claim to be complete beside a webhook")
	}
}

func TestWebhookThatFails(t *testing.T) {
	for policy, want := range map[string]authorizer.Decision{"NoOpinion": authorizer.DecisionNoOpinion, "Deny": authorizer.DecisionDeny} {
		j := newJudge(t)
		j.fail.Store(true)
		z, _ := configured(t, configuration(kubeconfigtest.File(t, j.Server), policy))
		if got := z.say(t, "jane", "ns"); got != want {
			t.Errorf("%s: %v, want %v", policy, got, want)
		}
	}
}

func TestConfigurationIsFollowed(t *testing.T) {
	j := newJudge(t)
	z, file := configured(t, configuration(kubeconfigtest.File(t, j.Server), "NoOpinion"))
	go func() { _ = z.Run(t.Context()) }()
	for _, text := range []string{"authorizers: []", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: [{type: AlwaysAllow, name: all}]\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	await.Until(t, time.Minute, "the new configuration is in use", func() bool { return z.say(t, "jim", "ns") == authorizer.DecisionAllow })
}

// Who takes the server's word that the file is followed must hear when it is
// not.
func TestConfigurationThatCannotBeFollowed(t *testing.T) {
	j := newJudge(t)
	z, file := configured(t, configuration(kubeconfigtest.File(t, j.Server), "NoOpinion"))
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := z.Run(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("Run gave %v; over time: %v", err, ctx.Err())
	}
}

func TestBadConfigurations(t *testing.T) {
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n"
	w := authtest.New(t)
	z, err := New(w.Kinds, w.Objects, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.yaml")
	for name, text := range map[string]string{
		"none": head + "authorizers: []\n", "unknown type": head + "authorizers: [{type: Mine, name: a}]\n", "twice": head + "authorizers: [{type: RBAC, name: a}, {type: RBAC, name: b}]\n",
		"unknown field": head + "authorizer: []\n", "no webhook": head + "authorizers: [{type: Webhook, name: a}]\n", "bad CEL": configuration("/none", "Deny; x"),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := z.Configure(file); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
