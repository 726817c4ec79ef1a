package bootstraptoken

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
)

func token(change func(*corev1.Secret)) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-abcdef"}, Type: corev1.SecretTypeBootstrapToken,
		Data: map[string][]byte{"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-authentication": []byte("true")},
	}
	if change != nil {
		change(s)
	}
	return s
}

func set(key, value string) func(*corev1.Secret) {
	return func(s *corev1.Secret) { s.Data[key] = []byte(value) }
}

func TestTokens(t *testing.T) {
	const good = "abcdef.0123456789abcdef"
	for name, c := range map[string]struct {
		secret *corev1.Secret
		token  string
		groups []string // nil: refused
	}{
		"good":           {token(nil), good, []string{"system:bootstrappers"}},
		"groups":         {token(set("auth-extra-groups", "system:bootstrappers:a,system:bootstrappers:b:c")), good, []string{"system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:b:c"}},
		"lives":          {token(set("expiration", time.Now().Add(time.Hour).Format(time.RFC3339))), good, []string{"system:bootstrappers"}},
		"expired":        {token(set("expiration", time.Now().Add(-time.Hour).Format(time.RFC3339))), good, nil},
		"odd time":       {token(set("expiration", "tomorrow")), good, nil},
		"foreign group":  {token(set("auth-extra-groups", "system:masters")), good, nil},
		"odd group":      {token(set("auth-extra-groups", "system:bootstrappers:A")), good, nil},
		"other use":      {token(set("usage-bootstrap-authentication", "false")), good, nil},
		"other secret":   {token(nil), "abcdef.0123456789abcdee", nil},
		"other id":       {token(nil), "abcdee.0123456789abcdef", nil},
		"id differs":     {token(set("token-id", "abcdee")), good, nil},
		"other type":     {token(func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }), good, nil},
		"other place":    {token(func(s *corev1.Secret) { s.Namespace = "default" }), good, nil},
		"not a token":    {token(nil), "abcdef", nil},
		"path in the id": {token(nil), "../def.0123456789abcdef", nil},
	} {
		w := authtest.New(t, c.secret)
		got, ok, err := New(w.Resource(&corev1.Secret{})).AuthenticateToken(t.Context(), c.token)
		if err != nil || ok != (c.groups != nil) {
			t.Errorf("%s: %v %v", name, ok, err)
			continue
		}
		if ok && (got.User.GetName() != "system:bootstrap:abcdef" || !cmp.Equal(got.User.GetGroups(), c.groups)) {
			t.Errorf("%s: %+v", name, got.User)
		}
	}
}

func TestDeletedTokenEnds(t *testing.T) {
	w := authtest.New(t)
	item := w.Create(api.Object(token(nil)))
	a := New(w.Resource(&corev1.Secret{}))
	if _, ok, _ := a.AuthenticateToken(t.Context(), "abcdef.0123456789abcdef"); !ok {
		t.Fatal("the token is refused")
	}
	w.Delete(item)
	if _, ok, _ := a.AuthenticateToken(t.Context(), "abcdef.0123456789abcdef"); ok {
		t.Error("the token outlives its Secret")
	}
}
