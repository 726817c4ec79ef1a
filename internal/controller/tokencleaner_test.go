package controller_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/jointoken"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

// Expired tokens go; those that are good, never end, or only look like tokens
// stay.
func TestExpiredTokensAreDeleted(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	soon, later := time.Now().Add(time.Second), time.Now().Add(time.Hour)
	for _, s := range []struct {
		name    string
		kind    corev1.SecretType
		expires string
	}{
		{"later", corev1.SecretTypeBootstrapToken, later.Format(time.RFC3339)},
		{"never", corev1.SecretTypeBootstrapToken, ""},
		{"opaque", corev1.SecretTypeOpaque, soon.Format(time.RFC3339)},
		{"unreadable", corev1.SecretTypeBootstrapToken, "tomorrow"},
		{"soon", corev1.SecretTypeBootstrapToken, soon.Format(time.RFC3339)},
	} {
		create(t, c, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: s.name}, Type: s.kind,
			Data: map[string][]byte{jointoken.ExpiryKey: []byte(s.expires)},
		})
	}
	secrets := client.For[*corev1.Secret](c.Admin)
	there := func(name string) bool {
		_, err := secrets.Get(t.Context(), metav1.NamespaceSystem, name)
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	testkit.Eventually(t, time.Minute, "the expired tokens go", func() bool { return !there("soon") && !there("unreadable") })
	for _, name := range []string{"later", "never", "opaque"} {
		if !there(name) {
			t.Errorf("secret %s was deleted", name)
		}
	}
}
