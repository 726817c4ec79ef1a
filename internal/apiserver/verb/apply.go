package verb

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store/cache"
)

const (
	ignoreFields = metav1.FieldValidationIgnore
	strictFields = metav1.FieldValidationStrict
)

// apply merges an applied configuration (server-side apply, KEP-555).
func (h *Handler) apply(ctx context.Context, c change) (Result, error) {
	patchObj, err := readApplied(c.req.Body, c.req.PatchOptions.FieldValidation)
	if err != nil {
		return Result{}, err
	}
	fm, err := h.Managers.Of(c.kind, c.req.Subresource)
	if err != nil {
		return Result{}, err
	}
	force := c.req.PatchOptions.Force != nil && *c.req.PatchOptions.Force
	c.createMissing = c.req.Subresource == ""
	created := false
	c.make = func(_ context.Context, old *cache.Item) (api.Object, error) {
		live := c.kind.New()
		live.GetObjectKind().SetGroupVersionKind(c.kind.GVK)
		if created = old == nil; !created {
			live = c.shown(old)
		}
		merged, err := fm.Apply(live, patchObj, c.manager, force)
		if err != nil {
			return nil, err
		}
		next, isObject := merged.(api.Object)
		if !isObject {
			return nil, wrongBody(c.kind.GVK.Kind, merged)
		}
		if err := c.placeApplied(next, created); err != nil {
			return nil, err
		}
		return next, nil
	}
	res, err := h.change(ctx, c)
	if err == nil && created {
		res.Status = http.StatusCreated
	}
	return res, err
}

// placeApplied checks the names of a merged object against the URL's.
func (t *target) placeApplied(obj api.Object, created bool) error {
	if created && obj.GetName() == "" {
		obj.SetName(t.req.Name)
	}
	return t.matchURL(obj)
}

// readApplied reads an applied configuration, which is YAML or JSON.
func readApplied(body []byte, validation string) (runtime.Object, error) {
	out := &unstructured.Unstructured{Object: map[string]any{}}
	if err := readLoose(body, &out.Object); err != nil {
		return nil, errors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	if out.Object == nil {
		return nil, errors.NewBadRequest("error decoding YAML: the body is empty")
	}
	if validation == strictFields {
		var again map[string]any
		if err := yaml.UnmarshalStrict(body, &again); err != nil {
			return nil, errors.NewBadRequest(fmt.Sprintf("error strict decoding YAML: %v", err))
		}
	}
	return out, nil
}

// readLoose reads YAML. What is JSON is read as that, to the same values: most
// clients send it, and the way through YAML takes many times as long. Whole
// numbers stay whole: the fields that Scale stands for are asked for as such.
func readLoose(body []byte, into *map[string]any) error {
	if bytes.HasPrefix(body, []byte("{")) && kjson.UnmarshalCaseSensitivePreserveInts(body, into) == nil {
		for name, value := range *into {
			(*into)[name] = whole(value)
		}
		return nil
	}
	*into = map[string]any{}
	return yaml.Unmarshal(body, into)
}

// whole makes whole numbers of those that are written otherwise (1.0, 1e3), as
// the way through YAML does.
func whole(value any) any {
	switch v := value.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return int64(v)
		}
	case map[string]any:
		for name, inner := range v {
			v[name] = whole(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = whole(inner)
		}
	}
	return value
}
