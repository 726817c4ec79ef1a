package volumes

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

// sizedVolume is a volume of 8Mi whose claim waits for the last 4Mi.
func sizedVolume(t *testing.T, c *testkit.Cluster, root string) *corev1.PersistentVolume {
	t.Helper()
	storage := func(size string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	}
	claims := client.For[*corev1.PersistentVolumeClaim](c.Admin)
	claim, err := claims.Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: storage("8Mi")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	waits := claim.DeepCopy()
	waits.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: storage("4Mi"), Conditions: []corev1.PersistentVolumeClaimCondition{
		{Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue}}}
	if _, err := claims.UpdateStatus(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{corev1.LabelHostname: "n"},
		Annotations: map[string]string{localvolume.Folder: LocalDir(root)}}}
	v, err := client.For[*corev1.PersistentVolume](c.Admin).Create(t.Context(), localvolume.New(claim, node, corev1.PersistentVolumeReclaimDelete, "sized", true))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSizedVolume: the size of a volume is a limit; the claim is told when it
// has grown, and its files go with it.
func TestSizedVolume(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	root := t.TempDir()
	t.Cleanup(func() { _ = unmountBelow(root) })
	m := &Manager{root: root, client: c.Admin, made: make(chan string, 2)}
	v := sizedVolume(t, c, root)
	followed := make(chan error, 1)
	go func() { followed <- m.follow(t.Context(), v.Name, slog.New(slog.DiscardHandler)) }()

	mounted, err := m.provisioned(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := client.For[*corev1.PersistentVolumeClaim](c.Admin).Get(t.Context(), "default", "data")
	if err != nil {
		t.Fatal(err)
	}
	if size := claim.Status.Capacity[corev1.ResourceStorage]; size.String() != "8Mi" || len(claim.Status.Conditions) > 0 {
		t.Errorf("the claim shows %s, %v", size.String(), claim.Status.Conditions)
	}
	if err := os.WriteFile(filepath.Join(mounted.HostPath, "much"), make([]byte, 9<<20), 0o600); err == nil {
		t.Error("9Mi went into 8Mi")
	}
	if _, err := m.provisioned(t.Context(), v); err != nil {
		t.Error("for another pod: ", err)
	}

	if err := client.For[*corev1.PersistentVolume](c.Admin).Delete(t.Context(), "", v.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-followed; err != nil {
		t.Error(err)
	}
	for _, path := range []string{mounted.HostPath, m.sizedFile(v.Name)} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s stays: %v", path, err)
		}
	}
}
