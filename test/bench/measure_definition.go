package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

const (
	boatGroup = "bench.knarr.io"
	boatsPath = "/apis/" + boatGroup + "/v1/namespaces/" + namespace + "/boats"
	// definitionTime bounds the wait for a definition to be served, or not to be.
	definitionTime = time.Minute
	definitions    = 10
)

// boatDefinition is such as operators bring: nested structures, defaults, rules
// in CEL and a status.
const boatDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.bench.knarr.io}
spec:
  group: bench.knarr.io
  scope: Namespaced
  names: {plural: boats, kind: Boat}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-validations:
            - {rule: "self.size >= 0", message: a boat has a size}
            - {rule: "!has(self.crew) || self.crew.all(c, c.age >= 16)", message: nobody so young}
            properties:
              size: {type: integer, default: 1}
              log: {type: string, maxLength: 4096}
              cargo: {type: object, additionalProperties: {type: string}}
              crew:
                type: array
                maxItems: 50
                items:
                  type: object
                  properties:
                    name: {type: string, maxLength: 100}
                    age: {type: integer}
                    ashore: {type: boolean, default: false}
          status:
            type: object
            properties: {afloat: {type: boolean}}
`

// measureDefinitions tells how long a definition takes until its objects are
// served and until its schema is published, and how long until neither is.
func (t *target) measureDefinitions(ctx context.Context, out results) error {
	var served, published, withdrawn []float64
	for range definitions {
		up, err := t.define(ctx)
		if err != nil {
			return err
		}
		gone, err := t.undefine(ctx)
		if err != nil {
			return err
		}
		served, published = append(served, milliseconds(up.served)), append(published, milliseconds(up.published))
		withdrawn = append(withdrawn, milliseconds(gone))
	}
	out.add(t,
		spread("definition of a custom resource: created to served", "ms", "", served),
		spread("definition of a custom resource: created to published in OpenAPI", "ms", "", published),
		spread("definition of a custom resource: deleted to withdrawn from OpenAPI", "ms", "", withdrawn))
	return nil
}

// defined is how long after its creation a definition was in use.
type defined struct{ served, published time.Duration }

func (t *target) define(ctx context.Context) (defined, error) {
	crds, err := t.definitions()
	if err != nil {
		return defined{}, err
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(boatDefinition), &crd.Object); err != nil {
		return defined{}, err
	}
	start := time.Now()
	if _, err := crds.Create(ctx, crd, metav1.CreateOptions{}); err != nil {
		return defined{}, err
	}
	if err := t.awaitCode(ctx, boatsPath, http.StatusOK); err != nil {
		return defined{}, err
	}
	out := defined{served: time.Since(start)}
	err = t.awaitCode(ctx, "/openapi/v3/apis/"+boatGroup+"/v1", http.StatusOK)
	out.published = time.Since(start)
	return out, err
}

func (t *target) undefine(ctx context.Context) (time.Duration, error) {
	crds, err := t.definitions()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	name := "boats." + boatGroup
	if err := crds.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return 0, err
	}
	if err := t.awaitCode(ctx, "/openapi/v3/apis/"+boatGroup+"/v1", http.StatusNotFound); err != nil {
		return 0, err
	}
	took := time.Since(start)
	return took, t.await(ctx, "the definition to be gone", func(ctx context.Context) (bool, error) {
		_, err := crds.Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

func (t *target) definitions() (dynamic.ResourceInterface, error) {
	config := rest.CopyConfig(t.config)
	config.QPS = -1
	set, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", t.name, err)
	}
	return set.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}), nil
}

// awaitCode waits until a path is answered so.
func (t *target) awaitCode(ctx context.Context, path string, code int) error {
	transport, err := rest.TransportFor(t.config)
	if err != nil {
		return err
	}
	return t.await(ctx, fmt.Sprintf("%s to be answered %d", path, code), func(ctx context.Context) (bool, error) {
		got, err := ask(ctx, transport, t.config.Host+path)
		return got == code, err
	})
}

// await asks again every millisecond.
func (t *target) await(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, definitionTime)
	defer cancel()
	for look := time.NewTicker(time.Millisecond); ; {
		if ok, err := done(ctx); ok || err != nil {
			look.Stop()
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			look.Stop()
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}

// ask reads an answer to its end and gives its code.
func ask(ctx context.Context, transport http.RoundTripper, address string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}
