package managed

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
)

// What an endpoint does not store of what is sent, its writers do not own.
func TestWhatWritersDoNotOwn(t *testing.T) {
	all := fieldpath.NewSet(fieldpath.MakePathOrDie("spec", "a"), fieldpath.MakePathOrDie("status", "b"))
	kinds := catalog.New()
	for name, tt := range map[string]struct {
		like        api.Object
		subresource string
		spec        bool
		status      bool
	}{
		"pod":              {&corev1.Pod{}, "", true, false},
		"a pod's status":   {&corev1.Pod{}, "status", false, true},
		"request":          {&certificatesv1.CertificateSigningRequest{}, "", false, false},
		"its approval":     {&certificatesv1.CertificateSigningRequest{}, "approval", false, true},
		"request's status": {&certificatesv1.CertificateSigningRequest{}, "status", false, true},
	} {
		k := kinds.TypeOf(tt.like)
		got := resetFields(k, tt.subresource)[fieldpath.APIVersion(k.GVK.GroupVersion().String())].Filter(all)
		if got.Has(fieldpath.MakePathOrDie("spec", "a")) != tt.spec || got.Has(fieldpath.MakePathOrDie("status", "b")) != tt.status {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A write of a Deployment's status stores no labels.
func TestStatusOfADeploymentOwnsNoLabels(t *testing.T) {
	k := catalog.New().TypeOf(&appsv1.Deployment{})
	label := fieldpath.MakePathOrDie("metadata", "labels", "a")
	for subresource, want := range map[string]bool{"": true, "status": false} {
		got := resetFields(k, subresource)[fieldpath.APIVersion("apps/v1")].Filter(fieldpath.NewSet(label))
		if got.Has(label) != want {
			t.Errorf("written through %q: %v", subresource, got)
		}
	}
}
