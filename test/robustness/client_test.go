package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/test/robustness/history"
)

// resource is a kind of object that the clients write.
type resource struct {
	name, apiVersion, kind, prefix string
}

// resources go different ways through the server: as they are, encrypted, and
// by a definition. An update creates none of them.
var resources = []resource{
	{"configmaps", "v1", "ConfigMap", "/api/v1"},
	{"secrets", "v1", "Secret", "/api/v1"},
	{"serviceaccounts", "v1", "ServiceAccount", "/api/v1"},
	{"crates", "robustness.knarr.io/v1", "Crate", "/apis/robustness.knarr.io/v1"},
}

// crates defines the custom resource.
const crates = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
"metadata": {"name": "crates.robustness.knarr.io"},
"spec": {"group": "robustness.knarr.io", "scope": "Namespaced", "names": {"plural": "crates", "kind": "Crate"},
"versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`

// object is what the clients know of an object.
type object struct {
	APIVersion string   `json:"apiVersion,omitempty"`
	Kind       string   `json:"kind,omitempty"`
	Metadata   metadata `json:"metadata"`
}

type metadata struct {
	Name            string            `json:"name,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
	Continue        string            `json:"continue,omitempty"` // of lists
}

// valueKey is the annotation that holds an object's value.
const valueKey = "robustness.knarr.io/value"

func (o object) revision() uint64 {
	n, _ := strconv.ParseUint(o.Metadata.ResourceVersion, 10, 64)
	return n
}

func (o object) version() history.Version {
	return history.Version{Revision: o.revision(), Value: o.Metadata.Annotations[valueKey]}
}

// api is a way to the server. Every request is sent once; nothing is tried
// again behind the caller's back.
type api struct {
	base string
	http *http.Client
}

func newAPI(kubeconfig, address string, http2 bool) (*api, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: tls, ForceAttemptHTTP2: http2, MaxIdleConnsPerHost: 4}
	return &api{base: "https://" + address, http: &http.Client{Transport: transport}}, nil
}

// answer is a status code and a body.
type answer struct {
	code int
	body []byte
}

// do sends a request. An error means that nobody knows what became of it.
func (a *api) do(ctx context.Context, method, path, contentType string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := a.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	return answer{response.StatusCode, text}, err
}

// must makes what a round needs; it may be there already.
func (a *api) must(ctx context.Context, path, body string) error {
	got, err := a.do(ctx, http.MethodPost, path, "application/json", []byte(body))
	if err != nil {
		return err
	}
	if got.code != http.StatusCreated && got.code != http.StatusConflict {
		return fmt.Errorf("create at %s: %d %s", path, got.code, got.body)
	}
	return nil
}

// ready asks whether the server is ready.
func (a *api) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	got, err := a.do(ctx, http.MethodGet, "/readyz", "", nil)
	if err == nil && got.code != http.StatusOK {
		err = fmt.Errorf("%d %s", got.code, got.body)
	}
	return err
}

// collection is the path of a resource in a namespace.
func (r resource) collection(namespace string) string {
	return r.prefix + "/namespaces/" + namespace + "/" + r.name
}

// list reads a resource whole, in pages where limit is not 0.
func (a *api) list(ctx context.Context, r resource, namespace string, limit int) (history.Listing, error) {
	l := history.Listing{Resource: r.name, Objects: map[string]history.Version{}}
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	for {
		got, err := a.do(ctx, http.MethodGet, r.collection(namespace)+"?"+query.Encode(), "", nil)
		if err != nil {
			return l, err
		}
		if got.code != http.StatusOK {
			return l, strange(got)
		}
		var page struct {
			Metadata metadata `json:"metadata"`
			Items    []object `json:"items"`
		}
		if err := json.Unmarshal(got.body, &page); err != nil {
			return l, err
		}
		for _, o := range page.Items {
			l.Objects[o.Metadata.Name] = o.version()
		}
		if l.Revision, err = strconv.ParseUint(page.Metadata.ResourceVersion, 10, 64); err != nil {
			return l, err
		}
		if page.Metadata.Continue == "" {
			return l, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

// strangeAnswer is one that nothing explains.
type strangeAnswer struct{ answer }

// Error shows the answer.
func (s strangeAnswer) Error() string {
	return fmt.Sprintf("answered %d %.300s", s.code, s.body)
}

// strange is an error where an answer cannot be told from one that is right
// while a server starts, ends, or has no room.
func strange(a answer) error {
	switch a.code {
	case http.StatusTooManyRequests, http.StatusInsufficientStorage, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return errors.New("not now")
	}
	return strangeAnswer{a}
}

// notes are what is wrong outside of the history. They may be called by many
// at a time.
type notes struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.list...)
}
