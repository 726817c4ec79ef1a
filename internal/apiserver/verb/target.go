package verb

import (
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// target is the endpoint that a request goes to.
type target struct {
	req      *request.Request
	kind     *api.Kind       // as asked for
	resource *cache.Resource // where its objects are; nil for virtual kinds
	rules    *api.Rules      // of the endpoint; nil where it has none
	scale    *api.ScaleOf
	body     schema.GroupVersionKind // what the endpoint takes
}

func (t *target) groupResource() schema.GroupResource { return t.kind.GroupResource() }

// groupKind is the name that failed preconditions of deletions bear.
func (t *target) groupKind() schema.GroupResource {
	gvk := t.kind.Stored().GVK
	return schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}
}

// invalid refuses an object of the endpoint's kind, under its stored name. A
// custom resource is named as what it says that it is.
func (t *target) invalid(obj api.Object, errs field.ErrorList) error {
	gvk := t.kind.Stored().GVK
	if t.kind.Custom != nil {
		gvk = obj.GetObjectKind().GroupVersionKind()
	}
	return errors.NewInvalid(gvk.GroupKind(), obj.GetName(), errs)
}

// name makes an object say its kind. Custom resources must do so themselves.
func (t *target) name(obj api.Object) {
	if t.kind.Custom == nil {
		obj.GetObjectKind().SetGroupVersionKind(t.kind.GVK)
	}
}

// lookup finds the object that the request names.
func (t *target) lookup() (*cache.Item, bool) {
	return t.resource.Get(t.req.Namespace, t.req.Name)
}

// shown is an object in the form of the kind that was asked for, for the
// caller to change.
func (t *target) shown(item *cache.Item) api.Object {
	return View(t.kind, item).DeepCopyObject().(api.Object)
}

func (h *Handler) target(req *request.Request) (*target, error) {
	k := req.Kind
	t := &target{req: req, kind: k, body: k.GVK}
	if !k.Virtual {
		t.resource = h.Cache.Of(k)
		if t.resource == nil {
			t.resource = h.Cache.Of(k.Stored())
		}
		if t.resource == nil && k.Custom != nil {
			return nil, NotServed() // its definition went meanwhile
		}
	}
	switch req.Subresource {
	case "":
		t.rules = &k.Main
		return t, nil
	case "status":
		if k.Status == nil {
			return nil, NotServed()
		}
		t.rules = k.Status
		return t, nil
	}
	sub := Subresource(k, req.Subresource)
	if sub == nil {
		return nil, NotServed()
	}
	t.rules, t.scale = sub.Rules, sub.Scale
	if !sub.GVK.Empty() {
		t.body = sub.GVK
	}
	return t, nil
}

// Subresource finds a kind's subresource other than status; nil where it has
// none of that name.
func Subresource(k *api.Kind, name string) *api.Subresource {
	for i := range k.Subresources {
		if k.Subresources[i].Name == name {
			return &k.Subresources[i]
		}
	}
	return nil
}

// Body is what a request's endpoint takes in its body.
func Body(k *api.Kind, subresource string) schema.GroupVersionKind {
	if sub := Subresource(k, subresource); sub != nil && !sub.GVK.Empty() {
		return sub.GVK
	}
	return k.GVK
}

func (h *Handler) actOf(req *request.Request) endpoint.Act {
	if req.Verb != request.Create && req.Verb != request.Update {
		return nil
	}
	return h.Endpoints.ActOf(req.Kind.GroupResource(), req.Subresource)
}
