package clients

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/knarr-io/knarr/knarrtest"
)

// A server that starts on data with custom resources serves them from its
// first answer on, and goes on with what its definition says.
func TestRestartWithCustomResources(t *testing.T) {
	dir := t.TempDir()
	t.Run("before", func(t *testing.T) {
		c := onDisk(t, dir)
		define(t, c)
		if err := c.Create(t.Context(), voyage("kept", "bergen", "wool", "fish")); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("after", func(t *testing.T) {
		c := onDisk(t, dir)
		var kept Voyage
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kept"}, &kept); err != nil {
			t.Fatalf("the first question after the restart: %v", err)
		}
		if len(kept.Spec.Cargo) != 2 || kept.Spec.Harbour != "bergen" {
			t.Errorf("kept is %+v", kept.Spec)
		}
		if err := patched(t.Context(), c, "kept", `{"spec":{"cargo":["wool"]}}`); err != nil {
			t.Error(err)
		}
		if err := patched(t.Context(), c, "kept", `{"spec":{"cargo":"wool"}}`); err == nil {
			t.Error("what the schema forbids is taken after the restart")
		}
		if err := c.Delete(t.Context(), &kept); err != nil {
			t.Error(err)
		}
		await(t, "kind that goes with its definition", func(ctx context.Context) error { return undefine(ctx, c) })
	})
}

// onDisk gives the test a server that keeps its data in a folder.
func onDisk(t *testing.T, dir string) client.Client {
	t.Helper()
	server := knarrtest.Run(t, knarrtest.Options{Dir: dir, Flags: []string{"--store=disk"}})
	config, err := clientcmd.RESTConfigFromKubeConfig(server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// undefine deletes the definition; it is an error as long as its kind is served.
func undefine(ctx context.Context, c client.Client) error {
	definition := &unstructured.Unstructured{}
	definition.SetAPIVersion("apiextensions.k8s.io/v1")
	definition.SetKind("CustomResourceDefinition")
	definition.SetName("voyages.clients.knarr.io")
	if err := client.IgnoreNotFound(c.Delete(ctx, definition)); err != nil {
		return err
	}
	if err := c.List(ctx, &VoyageList{}); err == nil {
		return errors.New("voyages are still listed")
	}
	return nil
}
