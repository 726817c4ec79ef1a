package crd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
)

const (
	// hookTimeout bounds a call of a conversion webhook.
	hookTimeout = 30 * time.Second
	// maxConverted bounds its answer, in bytes.
	maxConverted = 64 << 20
)

// caller makes the endpoint of a webhook; nil where none can be called.
type caller func(outbound.Target) (*outbound.Endpoint, error)

// webhook converts the objects of one definition.
type webhook struct {
	definition *definition
	endpoint   func() (*outbound.Endpoint, error)
	reviews    []string // versions of ConversionReview that it understands
}

func newWebhook(d *definition, c *v1.WebhookConversion, call caller) *webhook {
	w := &webhook{definition: d}
	if c != nil {
		w.reviews = c.ConversionReviewVersions
	}
	w.endpoint = sync.OnceValues(func() (*outbound.Endpoint, error) {
		switch {
		case call == nil:
			return nil, errors.New("this server calls no webhooks")
		case c == nil || c.ClientConfig == nil:
			return nil, errors.New("the definition does not say where the webhook is")
		}
		return call(targetOf(c.ClientConfig))
	})
	return w
}

func targetOf(c *v1.WebhookClientConfig) outbound.Target {
	t := outbound.Target{}
	if len(strings.TrimSpace(string(c.CABundle))) > 0 {
		t.CABundle = c.CABundle
	}
	if c.URL != nil {
		t.URL = *c.URL
	}
	if s := c.Service; s != nil {
		const https = 443
		t.Service = &outbound.ServicePort{Namespace: s.Namespace, Name: s.Name, Port: https}
		if s.Port != nil {
			t.Service.Port = *s.Port
		}
		if s.Path != nil {
			t.Path = *s.Path
		}
	}
	return t
}

// close drops the webhook's connections.
func (w *webhook) close() {
	if e, err := w.endpoint(); err == nil && e != nil {
		e.Close()
	}
}

// convertTo gives objects as a version of the definition.
func (w *webhook) convertTo(v *versioned) func(context.Context, []api.Object) ([]api.Object, error) {
	return func(ctx context.Context, objs []api.Object) ([]api.Object, error) { return w.convert(ctx, objs, v) }
}

// convert asks the webhook for all objects that are of another version. Those
// of the wanted one are given as they are.
func (w *webhook) convert(ctx context.Context, objs []api.Object, to *versioned) ([]api.Object, error) {
	out := slices.Clone(objs)
	var others []int
	for i, obj := range objs {
		if obj.GetObjectKind().GroupVersionKind().GroupVersion() != to.gvk.GroupVersion() {
			others = append(others, i)
		}
	}
	if len(others) == 0 {
		return out, nil
	}
	from := objs[others[0]].GetObjectKind().GroupVersionKind()
	ask := make([]runtime.RawExtension, len(others))
	for i, at := range others {
		ask[i].Object = objs[at]
	}
	got, err := w.call(ctx, ask, to)
	if err != nil {
		return nil, fmt.Errorf("conversion webhook for %v failed: %w", from, err)
	}
	if len(got) != len(others) {
		return nil, fmt.Errorf("conversion webhook for %v returned %d objects, expected %d", from, len(got), len(others))
	}
	for i, at := range others {
		if out[at], err = accept(objs[at].(*unstructured.Unstructured), got[i].Raw, to); err != nil {
			return nil, fmt.Errorf("conversion webhook for %v returned invalid object at index %d: %w", from, i, err)
		}
	}
	return out, nil
}

// call carries a review to the webhook and back.
func (w *webhook) call(ctx context.Context, objects []runtime.RawExtension, to *versioned) ([]runtime.RawExtension, error) {
	i := slices.IndexFunc(w.reviews, func(v string) bool { return v == "v1" || v == "v1beta1" })
	if i < 0 {
		return nil, errors.New("no supported conversion review versions")
	}
	endpoint, err := w.endpoint()
	if err != nil {
		return nil, err
	}
	review := v1.ConversionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: v1.GroupName + "/" + w.reviews[i], Kind: "ConversionReview"},
		Request: &v1.ConversionRequest{
			UID: types.UID(uuid.NewString()), DesiredAPIVersion: to.gvk.GroupVersion().String(), Objects: objects,
		},
	}
	body, err := json.Marshal(review)
	if err != nil {
		return nil, err
	}
	answer, err := endpoint.Post(ctx, outbound.Call{Body: body, Timeout: hookTimeout, Limit: maxConverted, Agent: "kube-apiserver-admission"})
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		// Its text alone: the webhook's status is not that of the request.
		said := apierrors.NewGenericServerResponse(answer.Status, "post", schema.GroupResource{}, "", string(answer.Body), 0, true)
		return nil, errors.New(said.Error())
	}
	return readReview(answer.Body, &review)
}

// readReview takes the converted objects out of an answer.
func readReview(body []byte, asked *v1.ConversionReview) ([]runtime.RawExtension, error) {
	var got v1.ConversionReview
	if err := json.Unmarshal(body, &got); err != nil {
		return nil, fmt.Errorf("couldn't read the answer: %w", err)
	}
	strict := asked.APIVersion == v1.SchemeGroupVersion.String() // v1beta1 was never checked for these
	switch {
	case strict && got.TypeMeta != asked.TypeMeta:
		return nil, fmt.Errorf("expected webhook response of %v, got %v", asked.GroupVersionKind(), got.GroupVersionKind())
	case got.Response == nil:
		return nil, errors.New("no response provided")
	case strict && got.Response.UID != asked.Request.UID:
		return nil, fmt.Errorf("expected response.uid=%q, got %q", asked.Request.UID, got.Response.UID)
	case got.Response.Result.Status != metav1.StatusSuccess && got.Response.Result.Message != "":
		return nil, errors.New(got.Response.Result.Message)
	case got.Response.Result.Status != metav1.StatusSuccess:
		return nil, fmt.Errorf("response.result.status was '%s', not 'Success'", got.Response.Result.Status)
	}
	return got.Response.ConvertedObjects, nil
}
