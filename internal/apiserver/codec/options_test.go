package codec_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
)

// A deletion's options may be of any group and version, such as that of the
// custom resource that goes, but of no other kind.
func TestDeleteOptionsOfAnyGroup(t *testing.T) {
	c, want := codec.New(catalog.New()), schema.GroupVersionKind{Version: "v1", Kind: "DeleteOptions"}
	for _, version := range []string{"v1", "meta.k8s.io/v1", "apps/v1", "example.com/v1alpha1"} {
		d, err := c.Decode([]byte(`{"kind":"DeleteOptions","apiVersion":"`+version+`","gracePeriodSeconds":7}`), codec.JSON, want, false)
		opts, is := d.Object.(*metav1.DeleteOptions)
		if err != nil || !is || opts.GracePeriodSeconds == nil || *opts.GracePeriodSeconds != 7 {
			t.Errorf("of %s: %v %v", version, d.Object, err)
		}
	}
	if d, err := c.Decode([]byte(`{"gracePeriodSeconds":7}`), codec.JSON, want, false); err != nil {
		t.Errorf("without a kind: %v %v", d.Object, err)
	}
	d, err := c.Decode([]byte(`{"kind":"Pod","apiVersion":"v1"}`), codec.JSON, want, false)
	if err == nil || !strings.Contains(d.Cause.Error(), `no kind "Pod" is registered for version "v1"`) {
		t.Errorf("a pod: %v %v", d.Object, err)
	}
}
