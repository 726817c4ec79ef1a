package crd

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api"
)

// convert gives an object of any version as another, as the definition's
// strategy says. It may call a webhook, within the webhook's own time.
func (d *definition) convert(u *unstructured.Unstructured, to *versioned) (*unstructured.Unstructured, error) {
	if u.GetAPIVersion() == to.gvk.GroupVersion().String() {
		return u.DeepCopy(), nil
	}
	if d.hook == nil {
		out := u.DeepCopy()
		return out, to.relabel(out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hookTimeout)
	defer cancel()
	out, err := d.hook.convert(ctx, []api.Object{u}, to)
	if err != nil {
		return nil, err
	}
	converted, ok := out[0].(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the conversion gave a %T", out[0])
	}
	return converted, nil
}
