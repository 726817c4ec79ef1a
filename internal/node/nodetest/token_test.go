package nodetest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/request"
)

// issuer issues tokens that say for whom they are, and passes everything else
// on to the API server.
type issuer struct{ request.Transport }

func (i issuer) Do(ctx context.Context, req *request.Request) (runtime.Object, error) {
	ask, ok := req.Object.(*authenticationv1.TokenRequest)
	if !ok || req.Subresource != "token" {
		return i.Transport.Do(ctx, req)
	}
	out := ask.DeepCopy()
	out.Status = authenticationv1.TokenRequestStatus{
		Token:               fmt.Sprintf("%s/%s for %s %v", req.Namespace, req.Name, ask.Spec.BoundObjectRef.Name, ask.Spec.Audiences),
		ExpirationTimestamp: metav1.NewTime(time.Now().Add(time.Duration(*ask.Spec.ExpirationSeconds) * time.Second)),
	}
	return out, nil
}

func TestServiceAccountVolume(t *testing.T) {
	w := newWorld(t)
	user := int64(1234)
	w.create(pod("a", func(p *corev1.Pod) {
		p.Spec.AutomountServiceAccountToken = nil
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user}
		p.Spec.Volumes = []corev1.Volume{{Name: "own", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "vault", Audience: "vault"}},
		}}}}}
	}))
	p := w.awaitReady("a")
	dir := filepath.Join(w.dir, "root", "memory", string(p.UID))
	var mounted string
	for _, v := range p.Spec.Volumes {
		if v.Name != "own" {
			mounted = filepath.Join(dir, v.Name)
		}
	}
	for path, want := range map[string]string{
		filepath.Join(mounted, "token"):     "default/default for a []",
		filepath.Join(mounted, "namespace"): "default",
		filepath.Join(mounted, "ca.crt"):    "test CA",
		filepath.Join(dir, "own", "vault"):  "default/default for a [vault]",
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	info, err := os.Stat(filepath.Join(mounted, "token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the token: %v, %v", info.Mode(), err)
	}
	w.delete("a", nil)
	w.awaitGone("a")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("secrets are left: %v", err)
	}
}
