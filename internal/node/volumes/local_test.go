package volumes

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

func localVolume(t *testing.T, root, name string, policy corev1.PersistentVolumeReclaimPolicy) *corev1.PersistentVolume {
	t.Helper()
	dir := filepath.Join(LocalDir(root), name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rows"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	terms := []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "kubernetes.io/hostname", Operator: corev1.NodeSelectorOpIn, Values: []string{"n"}}}}}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: policy,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: dir}},
			NodeAffinity:                  &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: terms}},
		},
	}
}

// Files go with a volume that was deleted under the policy Delete, and with
// no other.
func TestFilesOfVolumes(t *testing.T) {
	const unwanted, retained, unknown = "pvc-11111111-0000-0000-0000-000000000000", "pvc-22222222-0000-0000-0000-000000000000", "pvc-33333333-0000-0000-0000-000000000000"
	root := t.TempDir()
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	pvs := client.For[*corev1.PersistentVolume](c.Admin)
	for name, policy := range map[string]corev1.PersistentVolumeReclaimPolicy{unwanted: corev1.PersistentVolumeReclaimDelete, retained: corev1.PersistentVolumeReclaimRetain} {
		if _, err := pvs.Create(t.Context(), localVolume(t, root, name, policy)); err != nil {
			t.Fatal(err)
		}
	}
	localVolume(t, root, unknown, corev1.PersistentVolumeReclaimDelete)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m := &Manager{root: root, client: c.Admin}
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(LocalDir(root), name, "rows"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		return err == nil
	}
	for name, want := range map[string]bool{retained: true, unwanted: false} {
		informers := client.NewInformers(c.Admin, nil)
		defer informers.Wait()
		defer cancel()
		life, err := watch(ctx, informers, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := pvs.Delete(t.Context(), "", name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := m.clean(<-life.gone); err != nil {
			t.Error(err)
		}
		if there(name) != want {
			t.Errorf("%s: its files are there: %t", name, !want)
		}
	}
	if err := m.follow(ctx, unknown, slog.New(slog.DiscardHandler)); !errors.Is(err, errUnknown) || !there(unknown) {
		t.Errorf("an unknown volume: %v, its files are there: %t", err, there(unknown))
	}
}
