package apiserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// Single answers that clients, or people, know upstream by.
func TestAnswersInUpstreamsWords(t *testing.T) {
	s := apitest.Start(t, nil)
	for name, tt := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
		text, warning      string
	}{
		"version takes no posts": {
			method: http.MethodPost, path: "/version", code: http.StatusMethodNotAllowed, text: `"reason":"MethodNotAllowed"`,
		},
		"groups of nobody": {
			method: http.MethodGet, path: configMaps, headers: []string{"Impersonate-Group", "g"}, code: http.StatusBadRequest,
			text: `requested \u0026user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g\"}, Extra:map[string][]string(nil)} without impersonating a user name`,
		},
		"a kind in a version that never had it": {
			method: http.MethodPost, path: configMaps, body: `{"apiVersion":"apps/v1beta1","kind":"ConfigMap"}`, code: http.StatusBadRequest,
			text: `ConfigMap in version \"v1beta1\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"apps/v1beta1\"`,
		},
		"a kind in a version that is gone": {
			method: http.MethodPost, path: "/apis/apps/v1/namespaces/default/deployments", body: `{"apiVersion":"apps/v1beta1","kind":"Deployment"}`,
			code: http.StatusBadRequest, text: `the API version in the data (apps/v1beta1) does not match the expected API version (apps/v1)`,
		},
		"jobs by the collection": {
			method: http.MethodDelete, path: "/apis/batch/v1/namespaces/default/jobs", code: http.StatusOK,
			warning: "child pods are preserved by default when jobs are deleted",
		},
		"a component": {
			method: http.MethodGet, path: "/api/v1/componentstatuses/none", code: http.StatusNotFound, text: `componentstatus \"none\" not found`,
		},
	} {
		code, header, body := s.Do(t, tt.method, tt.path, tt.body, tt.headers...)
		if code != tt.code || !strings.Contains(string(body), tt.text) || !strings.Contains(header.Get("Warning"), tt.warning) {
			t.Errorf("%s: %d %s %v", name, code, body, header["Warning"])
		}
	}
}

// What is answered and never stored has an owner of its fields all the same.
func TestReviewsAreOwned(t *testing.T) {
	s := apitest.Start(t, func(c *apiserver.Config) {
		c.Endpoints = endpoint.NewRegistry()
		c.Endpoints.Act(schema.GroupResource{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"}, "",
			func(_ context.Context, a endpoint.Action) (runtime.Object, error) { return a.Request.Object, nil })
	})
	code, _, body := s.Do(t, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews?fieldManager=me",
		`{"metadata":{"uid":"mine"},"spec":{"resourceAttributes":{"verb":"get"}}}`)
	var got authorizationv1.SelfSubjectAccessReview
	if err := json.Unmarshal(body, &got); err != nil || code != http.StatusCreated {
		t.Fatalf("%d %s %v", code, body, err)
	}
	if len(got.ManagedFields) != 1 || got.ManagedFields[0].Manager != "me" || got.UID != "" {
		t.Errorf("got %+v", got.ObjectMeta)
	}
}
