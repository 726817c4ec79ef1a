package autoscaler

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
)

// tries bounds how often a scale is written where others write it too.
const tries = 5

// target is the scale subresource of an autoscaler's target.
type target struct {
	client          *client.Client
	kind            *api.Kind
	namespace, name string
}

// targetOf finds the kind that an autoscaler refers to, in whatever version.
func targetOf(c *client.Client, hpa *autoscalingv2.HorizontalPodAutoscaler) (target, error) {
	ref := hpa.Spec.ScaleTargetRef
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return target{}, err
	}
	gk := schema.GroupKind{Group: gv.Group, Kind: ref.Kind}
	var found *api.Kind
	for _, k := range allKinds(c) {
		if k.GVK.GroupKind() == gk && (found == nil || scalable(k) && !scalable(found)) {
			found = k
		}
	}
	if found == nil {
		return target{}, &meta.NoKindMatchError{GroupKind: gk}
	}
	if !scalable(found) {
		return target{}, apierrors.NewGenericServerResponse(404, "get", found.GroupResource(), ref.Name, "", 0, true)
	}
	return target{client: c, kind: found, namespace: hpa.Namespace, name: ref.Name}, nil
}

func allKinds(c *client.Client) []*api.Kind {
	return append(append([]*api.Kind{}, c.Catalog().Kinds()...), c.Catalog().Custom()...)
}

func scalable(k *api.Kind) bool {
	for i := range k.Subresources {
		if k.Subresources[i].Scale != nil {
			return true
		}
	}
	return false
}

func (t target) read(ctx context.Context) (*autoscalingv1.Scale, error) {
	out, err := t.client.Transport().Do(ctx, &request.Request{Verb: request.Get, Kind: t.kind, Subresource: "scale", Namespace: t.namespace, Name: t.name})
	if err != nil {
		return nil, err
	}
	scale, ok := out.(*autoscalingv1.Scale)
	if !ok {
		return nil, fmt.Errorf("the server answered a scale of %s with %T", t.kind.Resource, out)
	}
	return scale, nil
}

// write sets the wanted number, over again where somebody was faster.
func (t target) write(ctx context.Context, scale *autoscalingv1.Scale, replicas int32) error {
	for try := 1; ; try++ {
		next := scale.DeepCopy()
		next.Spec.Replicas = replicas
		_, err := t.client.Transport().Do(ctx, &request.Request{
			Verb: request.Update, Kind: t.kind, Subresource: "scale", Namespace: t.namespace, Name: t.name, Object: next,
		})
		if !apierrors.IsConflict(err) || try == tries {
			return err
		}
		if scale, err = t.read(ctx); err != nil {
			return err
		}
	}
}
