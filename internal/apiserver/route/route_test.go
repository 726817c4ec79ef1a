package route

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := map[string]Info{
		"GET /healthz":             {Verb: "get"},
		"GET /api/v1":              {Verb: "get"},
		"GET /apis/apps/v1":        {Verb: "get"},
		"GET /api/v1/pods":         {Resource: true, Verb: "list", Version: "v1", Plural: "pods"},
		"GET /api/v1/pods?watch=1": {Resource: true, Verb: "watch", Version: "v1", Plural: "pods"},
		"GET /api/v1/pods?watch=0": {Resource: true, Verb: "list", Version: "v1", Plural: "pods"},
		"GET /api/v1/watch/pods":   {Resource: true, Verb: "watch", Version: "v1", Plural: "pods", OldWatch: true},
		"POST /api/v1/namespaces":  {Resource: true, Verb: "create", Version: "v1", Plural: "namespaces"},
		"DELETE /api/v1/nodes":     {Resource: true, Verb: "deletecollection", Version: "v1", Plural: "nodes"},
		"PUT /api/v1/namespaces/a": {Resource: true, Verb: "update", Version: "v1", Plural: "namespaces", Namespace: "a", Name: "a"},
		"PATCH /apis/apps/v1/namespaces/a/deployments/d/scale": {Resource: true, Verb: "patch", Group: "apps", Version: "v1",
			Plural: "deployments", Namespace: "a", Name: "d", Subresource: "scale"},
		"PUT /api/v1/namespaces/a/finalize": {Resource: true, Verb: "update", Version: "v1", Plural: "namespaces",
			Namespace: "a", Name: "a", Subresource: "finalize"},
		"GET /api/v1/watch/namespaces/a/pods/p": {Resource: true, Verb: "watch", Version: "v1", Plural: "pods",
			Namespace: "a", Name: "p", OldWatch: true},
		"GET /api/v1/namespaces/a/services/s/proxy/x/y": {Resource: true, Verb: "get", Version: "v1", Plural: "services",
			Namespace: "a", Name: "s", Subresource: "proxy", Rest: []string{"x", "y"}},
		"GET /api/v1/namespaces/a/pods/p/log/x": {Resource: true, Verb: "get", Version: "v1", Plural: "pods",
			Namespace: "a", Name: "p", Subresource: "log", Rest: []string{"x"}, Extra: true},
	}
	for in, want := range tests {
		t.Run(in, func(t *testing.T) {
			method, target, _ := cut(in)
			u, err := url.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			want.Path = u.Path
			if diff := cmp.Diff(&want, Parse(method, u)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func cut(in string) (method, target string, ok bool) {
	for i := range in {
		if in[i] == ' ' {
			return in[:i], in[i+1:], true
		}
	}
	return in, "", false
}

func FuzzParse(f *testing.F) {
	f.Add("GET", "/api/v1/namespaces/a/pods/b/log")
	f.Add("DELETE", "/apis/apps/v1/watch")
	f.Fuzz(func(t *testing.T, method, path string) {
		info := Parse(method, &url.URL{Path: path})
		if info.Resource && (info.Plural == "" && info.Name != "" && info.Version == "") {
			t.Fatalf("an API request without version and resource: %+v", info)
		}
	})
}
