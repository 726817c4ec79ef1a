package clients

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patched changes a stored voyage by a merge patch.
func patched(ctx context.Context, c client.Client, name, patch string) error {
	return c.Patch(ctx, voyage(name, ""), client.RawPatch(types.MergePatchType, []byte(patch)))
}

// refusals: what the webhooks and the schema refuse reaches the person, with
// its words and reason, and so does a warning.
func refusals(t *testing.T, c client.Client, warned *warnings) {
	t.Helper()
	create := func(v *Voyage) func() error { return func() error { return c.Create(t.Context(), v) } }
	for _, r := range []struct {
		what  string
		do    func() error
		class func(error) bool
		says  string
	}{
		{"a sunken harbour", create(voyage("x", "atlantis", "wool")), apierrors.IsForbidden,
			`admission webhook "validate.clients.knarr.io" denied the request: atlantis has sunk`},
		{"another harbour", func() error { return patched(t.Context(), c, "first", `{"spec":{"harbour":"oslo"}}`) },
			apierrors.IsForbidden, "first has sailed to bergen"},
		{"contraband", create(voyage("x", "", "contraband")), apierrors.IsInvalid, "no contraband"},
		{"too long a piece", create(voyage("x", "", strings.Repeat("w", 41))), apierrors.IsInvalid, "spec.cargo[0]"},
	} {
		if err := r.do(); err == nil || !r.class(err) || !strings.Contains(err.Error(), r.says) {
			t.Errorf("%s: %v; want %q", r.what, err, r.says)
		}
	}
	if err := c.Create(t.Context(), voyage("empty", ""), client.DryRunAll); err != nil || !warned.has("the ship sails empty") {
		t.Errorf("an empty ship: %v; warnings %q", err, warned.list())
	}
}

// departs: an anchored voyage stays; another goes once its finalizer has taken
// the manifest off.
func departs(t *testing.T, c client.Client) {
	t.Helper()
	if err := patched(t.Context(), c, "first", `{"metadata":{"labels":{"anchored":"yes"}}}`); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), voyage("first", "")); !apierrors.IsForbidden(err) {
		t.Errorf("an anchored voyage is deleted: %v", err)
	}
	if err := patched(t.Context(), c, "first", `{"metadata":{"labels":{"anchored":null}}}`); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), voyage("first", "")); err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKey{Namespace: "default", Name: "first"}
	await(t, "end of the voyage", func(ctx context.Context) error {
		if err := c.Get(ctx, key, &Voyage{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is still there, or cannot be read: %v", err)
		}
		return nil
	})
	key.Name += "-manifest"
	if err := c.Get(t.Context(), key, &corev1.ConfigMap{}); !apierrors.IsNotFound(err) {
		t.Errorf("the manifest outlives its voyage: %v", err)
	}
}
