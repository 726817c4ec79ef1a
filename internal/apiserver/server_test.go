package apiserver_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

func TestWhoMayNot(t *testing.T) {
	s := apitest.Start(t, nil)
	for _, tt := range []struct {
		path, auth string
		code       int
		text       string
	}{
		{configMaps, "Bearer jane", http.StatusForbidden, `configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"`},
		{"/api/v1/nodes/n", "Bearer jane", http.StatusForbidden, `nodes \"n\" is forbidden: User \"jane\" cannot get resource \"nodes\" in API group \"\" at the cluster scope`},
		{"/version", "Bearer jane", http.StatusForbidden, `forbidden: User \"jane\" cannot get path \"/version\"`},
		{configMaps, "", http.StatusUnauthorized, "Unauthorized"},
	} {
		code, _, body := s.Do(t, http.MethodGet, tt.path, "", "Authorization", tt.auth)
		if code != tt.code || !strings.Contains(string(body), tt.text) {
			t.Errorf("%s as %q: got %d %s", tt.path, tt.auth, code, body)
		}
	}
}

// Whoever reads with curl reads refusals, too.
func TestRefusalsAreIndentedForPeople(t *testing.T) {
	s := apitest.Start(t, nil)
	_, _, body := s.Do(t, http.MethodGet, configMaps, "", "Authorization", "Bearer jane", "User-Agent", "curl/8.0")
	if want := "{\n  \"kind\": \"Status\","; !strings.HasPrefix(string(body), want) {
		t.Errorf("got %s", body)
	}
}

func TestImpersonation(t *testing.T) {
	s := apitest.Start(t, nil)
	code, _, body := s.Do(t, http.MethodGet, configMaps, "", "Impersonate-User", "jane")
	if code != http.StatusForbidden || !strings.Contains(string(body), `User \"jane\"`) {
		t.Errorf("as jane: %d %s", code, body)
	}
	code, _, _ = s.Do(t, http.MethodGet, configMaps, "", "Impersonate-User", "jane", "Impersonate-Group", "system:masters")
	if code != http.StatusOK {
		t.Errorf("as a master: %d", code)
	}
	code, _, _ = s.Do(t, http.MethodGet, configMaps, "", "Authorization", "Bearer jane", "Impersonate-User", "admin")
	if code != http.StatusForbidden {
		t.Errorf("jane as admin: %d", code)
	}
}

// Whoever may act for somebody in one way only may do so in that way.
func TestConstrainedImpersonation(t *testing.T) {
	allowed := map[string]bool{
		"jane impersonate-on:user-info:list configmaps": true, "jane impersonate:user-info users": true,
		"joe list configmaps": true, "joe get configmaps": true,
	}
	s := apitest.Start(t, func(c *apiserver.Config) {
		c.Authorizer = authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			if allowed[a.GetUser().GetName()+" "+a.GetVerb()+" "+a.GetResource()] {
				return authorizer.DecisionAllow, "", nil
			}
			return authorizer.DecisionNoOpinion, "", nil
		})
	})
	if code, _, body := s.Do(t, http.MethodGet, configMaps, "", "Authorization", "Bearer jane", "Impersonate-User", "joe"); code != http.StatusOK {
		t.Errorf("to list: %d %s", code, body)
	}
	code, _, body := s.Do(t, http.MethodGet, configMaps+"/a", "", "Authorization", "Bearer jane", "Impersonate-User", "joe")
	if want := `configmaps \"a\" is forbidden: User \"jane\" cannot impersonate-on:user-info:get resource \"configmaps\"`; code != http.StatusForbidden || !strings.Contains(string(body), want) {
		t.Errorf("to get: %d %s", code, body)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s := apitest.Start(t, nil)
	big := `{"metadata":{"name":"a"},"data":{"k":"` + strings.Repeat("x", 3<<20) + `"}}`
	if code, _, body := s.Do(t, http.MethodPost, configMaps, big); code != http.StatusRequestEntityTooLarge {
		t.Fatalf("got %d %s", code, body)
	}
	deep := `{"metadata":{"name":"a"},"data":` + strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000) + `}`
	if code, _, _ := s.Do(t, http.MethodPost, configMaps, deep); code != http.StatusBadRequest {
		t.Fatalf("a deep body got %d", code)
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	s := apitest.Start(t, nil)
	s.Do(t, http.MethodPost, configMaps, `{"metadata":{"name":"a"},"data":{"k":"`+strings.Repeat("x", 200<<10)+`"}}`)
	code, header, body := s.Do(t, http.MethodGet, configMaps+"/a", "", "Accept-Encoding", "gzip")
	if code != http.StatusOK || header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("got %d, %v", code, header)
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var cm corev1.ConfigMap
	if err := json.NewDecoder(z).Decode(&cm); err != nil || len(cm.Data["k"]) != 200<<10 {
		t.Fatalf("%d bytes, %v", len(cm.Data["k"]), err)
	}
}

// seatsOfTwo is what a user of no group gets where all levels share two seats:
// one of the catch-all's own, and those that three other levels lend.
const seatsOfTwo = 4

func TestTooManyAtOnce(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{}, 100)
	s := apitest.Start(t, func(c *apiserver.Config) {
		c.MaxReads, c.MaxWrites = 1, 1
		c.Authorizer = everybody{}
		c.Handlers["/slow"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- struct{}{}
			<-hold
		})
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		var asking sync.WaitGroup
		defer asking.Wait()
		for range seatsOfTwo {
			asking.Go(func() {
				if resp, err := get(s.URL + "/slow"); err == nil {
					resp.Body.Close()
				}
			})
		}
	}()
	for range seatsOfTwo {
		<-entered
	}
	code, header, _ := s.Do(t, http.MethodGet, "/version", "", "Authorization", "Bearer jane")
	if code != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("got %d, %v", code, header)
	}
	if code, _, _ := s.Do(t, http.MethodGet, "/version", ""); code != http.StatusOK {
		t.Errorf("a master is kept out: %d", code)
	}
	close(hold)
	<-done
}

func get(url string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer jane")
	return http.DefaultClient.Do(req)
}

// Writers that race for one object lose nothing: those without a version run
// again, those with one learn that they lost.
func TestRacingWritersLoseNothing(t *testing.T) {
	s := apitest.Start(t, nil)
	create(t, s, "shared", "")
	var wg sync.WaitGroup
	const writers, rounds = 4, 10
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				patch := fmt.Sprintf(`{"data":{"w%d-%d":"x"}}`, w, i)
				for {
					code, _, body := s.Do(t, http.MethodPatch, configMaps+"/shared", patch, "Content-Type", "application/merge-patch+json")
					if code == http.StatusOK {
						break
					}
					if code != http.StatusConflict {
						t.Errorf("got %d %s", code, body)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	_, _, body := s.Do(t, http.MethodGet, configMaps+"/shared", "")
	var cm corev1.ConfigMap
	if err := json.Unmarshal(body, &cm); err != nil || len(cm.Data) != writers*rounds {
		t.Fatalf("%d of %d writes are there: %v", len(cm.Data), writers*rounds, err)
	}
}

// A node takes a pod away as soon as it sees that it is to go at once: whoever
// asked for that has still deleted it.
func TestDeletedAtOnceBySomebodyFaster(t *testing.T) {
	s := apitest.Start(t, nil)
	const pods, pod = "/api/v1/namespaces/default/pods", `{"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}]}}`
	stored := s.Cache.Of(s.Catalog.Resource(corev1.SchemeGroupVersion.WithResource("pods")))
	for range 100 {
		if code, _, body := s.Do(t, http.MethodPost, pods, pod); code != http.StatusCreated {
			t.Fatalf("create: %d %s", code, body)
		}
		var node sync.WaitGroup
		node.Go(func() {
			for {
				item, found := stored.Get("default", "p")
				if !found {
					return
				}
				if item.Object.GetDeletionTimestamp() != nil {
					_, _ = stored.Delete(t.Context(), item) // whoever is first
					return
				}
			}
		})
		if code, _, body := s.Do(t, http.MethodDelete, pods+"/p?gracePeriodSeconds=0", ""); code != http.StatusOK {
			t.Errorf("delete: %d %s", code, body)
		}
		node.Wait()
	}
}

// A proxy passes every method on; elsewhere OPTIONS is no method.
func TestEveryMethodGoesThroughAProxy(t *testing.T) {
	s := apitest.Start(t, func(c *apiserver.Config) {
		c.Endpoints = endpoint.NewRegistry()
		c.Endpoints.Connect(corev1.Resource("services"), "proxy", func(w http.ResponseWriter, r *http.Request, _ endpoint.Connection) error {
			_, err := w.Write([]byte(r.Method))
			return err
		})
	})
	const services, web = "/api/v1/namespaces/default/services", `{"metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}}`
	if code, _, body := s.Do(t, http.MethodPost, services, web); code != http.StatusCreated {
		t.Fatalf("create: %d %s", code, body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		for _, path := range []string{"/proxy", "/proxy/some/path"} {
			if code, _, body := s.Do(t, method, services+"/web"+path, ""); code != http.StatusOK || string(body) != method {
				t.Errorf("%s %s: %d %s", method, path, code, body)
			}
		}
	}
	if code, _, _ := s.Do(t, http.MethodOptions, services+"/web", ""); code != http.StatusMethodNotAllowed {
		t.Errorf("OPTIONS of the service itself: %d", code)
	}
}

func TestTransportOfTheProcess(t *testing.T) {
	s := apitest.Start(t, nil)
	k := s.Catalog.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	root := s.Transport(&user.DefaultInfo{Name: "root", Groups: []string{user.SystemPrivilegedGroup}})
	stream, err := root.Watch(ctx, &request.Request{Verb: request.Watch, Kind: k, Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Stop()
	made, err := root.Do(ctx, &request.Request{Verb: request.Create, Kind: k, Namespace: "default",
		Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := root.Do(ctx, &request.Request{Verb: request.List, Kind: k})
	if err != nil {
		t.Fatal(err)
	}
	events, err := stream.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same := func(obj runtime.Object) bool { return obj == made }
	if items := list.(*api.List).Items; len(items) != 1 || !same(items[0]) || len(events) != 1 || !same(events[0].Object) {
		t.Fatal("create, list and watch do not share one object")
	}
	_, err = root.Do(ctx, &request.Request{Verb: request.Patch, Kind: k, Namespace: "default", Name: "a",
		PatchType: types.MergePatchType, Body: []byte(`{"data":{"k":"v"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	nobody := s.Transport(&user.DefaultInfo{Name: "nobody"})
	if _, err := nobody.Do(ctx, &request.Request{Verb: request.List, Kind: k}); !apierrors.IsForbidden(err) {
		t.Fatalf("nobody may list: %v", err)
	}
	s.Stop()
	for err = error(nil); err == nil; {
		_, err = stream.Next(ctx)
	}
	if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
		t.Fatalf("the watch ended with %v", err)
	}
}
