package policy

import (
	"context"
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// errNoParams is the refusal of a binding that wants parameters to be there.
var errNoParams = errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")

// paramsOf are the objects with which a binding evaluates its policy, each in
// turn; one nil where it takes none, nothing where they are not there and need
// not be. An error is one of configuration.
func (p *Policies) paramsOf(ctx context.Context, kind *admissionregistrationv1.ParamKind, ref *admissionregistrationv1.ParamRef, a *admission.Attributes) ([]runtime.Object, error) {
	if kind == nil || ref == nil {
		return []runtime.Object{nil}, nil
	}
	resource, k, err := p.paramKind(kind)
	if err != nil {
		return nil, err
	}
	namespace, err := paramNamespace(k, ref, a.Namespace)
	if err != nil {
		return nil, err
	}
	found, err := find(ctx, resource, k, namespace, ref)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && ref.ParameterNotFoundAction != nil && *ref.ParameterNotFoundAction == admissionregistrationv1.DenyAction {
		return nil, errNoParams
	}
	return found, nil
}

// configurationError tells of a policy that cannot work.
func (p *Policies) configurationError(kind *admissionregistrationv1.ParamKind) error {
	if kind == nil {
		return nil
	}
	_, _, err := p.paramKind(kind)
	return err
}

func (p *Policies) paramKind(kind *admissionregistrationv1.ParamKind) (*cache.Resource, *api.Kind, error) {
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to parse paramKind APIVersion: %w", err)
	}
	gvk := gv.WithKind(kind.Kind)
	if k := p.kinds.Kind(gvk); k != nil && !k.Virtual {
		if objects := p.objects.Of(k); objects != nil { // else its definition goes just now
			return objects, k, nil
		}
	}
	return nil, nil, fmt.Errorf("failed to find resource referenced by paramKind: '%v'", gvk)
}

// paramNamespace is where parameters are looked for.
func paramNamespace(k *api.Kind, ref *admissionregistrationv1.ParamRef, own string) (string, error) {
	switch {
	case !k.Namespaced && ref.Namespace != "":
		return "", errors.New("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
	case !k.Namespaced:
		return "", nil
	case ref.Namespace != "":
		return ref.Namespace, nil
	case own == "":
		return "", errors.New("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
	}
	return own, nil
}

func find(ctx context.Context, resource *cache.Resource, k *api.Kind, namespace string, ref *admissionregistrationv1.ParamRef) (out []runtime.Object, err error) {
	if ref.Name != "" {
		item, found := resource.Get(namespace, ref.Name)
		if !found {
			return nil, nil
		}
		shown, err := show(ctx, k, item)
		return []runtime.Object{shown}, err
	}
	if ref.Selector == nil {
		return nil, errors.New("one of name or selector must be provided")
	}
	selector, err := metav1.LabelSelectorAsSelector(ref.Selector)
	if err != nil {
		return nil, err
	}
	resource.Snapshot().Ascend(namespace, "", "", func(item *cache.Item) bool {
		if !selector.Matches(labels.Set(item.Object.GetLabels())) {
			return true
		}
		var shown runtime.Object
		if shown, err = show(ctx, k, item); err != nil {
			return false
		}
		out = append(out, shown)
		return true
	})
	return out, err
}

// show gives a parameter as CEL sees it: with its kind.
func show(ctx context.Context, k *api.Kind, item *cache.Item) (runtime.Object, error) {
	obj, err := formOf(ctx, k, item)
	if err != nil {
		return nil, fmt.Errorf("read parameters from %s %q: %w", k.GVK.Kind, item.Object.GetName(), err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("read parameters from %s %q: %w", k.GVK.Kind, obj.GetName(), err)
	}
	if _, shared := obj.(runtime.Unstructured); shared {
		content = runtime.DeepCopyJSON(content)
	}
	out := &unstructured.Unstructured{Object: content}
	out.SetGroupVersionKind(k.GVK)
	return out, nil
}

// formOf is a stored object in the version that a policy names. It may call the
// webhook that converts custom resources, once for each item.
func formOf(ctx context.Context, k *api.Kind, item *cache.Item) (api.Object, error) {
	switch form := item.Form(k); {
	case form != nil:
		return form, nil
	case k.Custom != nil && k.Custom.Convert != nil:
		out, err := k.Custom.Convert(ctx, []api.Object{item.Object})
		if err != nil {
			return nil, err
		}
		item.SetForm(k, out[0])
		return out[0], nil
	case k.View != nil:
		return k.View.FromStored(item.Object), nil
	}
	return item.Object, nil
}
