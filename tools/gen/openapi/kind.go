package openapi

import (
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/knarr-io/knarr/internal/api"
)

// kindRoutes are all routes of a kind below root ("/apis/apps/v1").
func kindRoutes(root string, k *api.Kind) []*route {
	b := builder{root: root, kind: k}
	b.main()
	if k.Status != nil {
		b.subresource(api.Subresource{Name: "status", GVK: k.GVK, Verbs: []string{"get", "patch", "update"}})
	}
	for _, s := range k.Subresources {
		b.subresource(s)
	}
	return b.routes
}

// builder collects the routes of a kind.
type builder struct {
	root   string
	kind   *api.Kind
	routes []*route
}

// target is what a route is about: an endpoint's path and the words that
// stand in its operation's name and description.
type target struct {
	path   string
	params []common.Parameter
	// sub is the subresource, suffix what ends the operation's name.
	sub, suffix string
	// allNamespaces is set for the paths of namespaced kinds without a namespace.
	allNamespaces bool
	gvk           schema.GroupVersionKind
	model         any
}

func (b *builder) main() {
	k := b.kind
	collection := b.collection(k.Resource, k.GVK.Kind)
	item := b.item(k.Resource, k.GVK.Kind)
	for _, t := range []struct {
		verb string
		add  func(target)
		on   target
	}{
		{"list", b.list, collection},
		{"create", b.create, collection},
		{"deletecollection", b.deleteCollection, collection},
		{"get", b.read, item},
		{"update", b.replace, item},
		{"patch", b.patch, item},
		{"delete", b.remove, item},
		{"watch", b.watch, item},
		{"watch", b.watchList, collection},
	} {
		if k.HasVerb(t.verb) {
			t.add(t.on)
		}
	}
	if k.Namespaced && k.HasVerb("list") {
		all := target{path: b.root + "/" + k.Resource, gvk: k.GVK, model: k.New(), allNamespaces: true, suffix: "ForAllNamespaces"}
		b.list(all)
		if k.HasVerb("watch") {
			b.watchList(all)
		}
	}
}

func (b *builder) collection(resource, _ string) target {
	t := target{path: b.root + "/" + resource, gvk: b.kind.GVK, model: b.kind.New()}
	if b.kind.Namespaced {
		t.path = b.root + "/namespaces/{namespace}/" + resource
		t.params = []common.Parameter{inPath("namespace", "object name and auth scope, such as for teams and projects")}
	}
	return t
}

func (b *builder) item(resource, nameOf string) target {
	t := b.collection(resource, nameOf)
	t.path += "/{name}"
	t.params = append(t.params, inPath("name", "name of the "+nameOf))
	return t
}

// op names an operation: verb, scope, kind, subresource.
func (b *builder) op(verb string, t target, more string) string {
	scope := ""
	if b.kind.Namespaced && !t.allNamespaces {
		scope = "Namespaced"
	}
	return verb + scope + b.kind.GVK.Kind + title(t.sub) + more + t.suffix
}

func (b *builder) add(r *route, t target) {
	r.path, r.gvk = t.path, t.gvk
	r.params = append(r.params, t.params...)
	if r.consumes == nil {
		r.consumes = []string{"*/*"}
	}
	if r.produces == nil {
		r.produces = mediaTypes()
	}
	b.routes = append(b.routes, r)
}

func (b *builder) list(t target) {
	doc := "list objects of kind " + b.kind.GVK.Kind
	produces := mediaTypes()
	if b.kind.HasVerb("watch") {
		doc, produces = "list or watch objects of kind "+b.kind.GVK.Kind, allMediaTypes()
	}
	b.add(&route{
		method: http.MethodGet, operation: b.op("list", t, ""), doc: doc, action: "list", produces: produces,
		params:    append(options(metav1.ListOptions{}), pretty()),
		responses: []response{{http.StatusOK, "OK", b.kind.NewList()}},
	}, t)
}

func (b *builder) create(t target) {
	b.add(&route{
		method: http.MethodPost, operation: b.op("create", t, ""), action: "post",
		doc:    "create" + ofSub(t.sub) + article(b.kind.GVK.Kind) + b.kind.GVK.Kind,
		params: append(options(metav1.CreateOptions{}), pretty()), body: t.model,
		responses: []response{
			{http.StatusOK, "OK", t.model}, {http.StatusCreated, "Created", t.model}, {http.StatusAccepted, "Accepted", t.model},
		},
	}, t)
}

func (b *builder) deleteCollection(t target) {
	params := append(options(metav1.DeleteOptions{}), options(metav1.ListOptions{}, "watch", "allowWatchBookmarks")...)
	b.add(&route{
		method: http.MethodDelete, operation: b.op("deletecollection", t, ""), action: "deletecollection",
		doc:    "delete collection of " + b.kind.GVK.Kind,
		params: append(unique(params), pretty()), body: metav1.DeleteOptions{}, bodyOptional: true,
		responses: []response{{http.StatusOK, "OK", metav1.Status{}}},
	}, t)
}

func (b *builder) read(t target) {
	b.add(&route{
		method: http.MethodGet, operation: b.op("read", t, ""), action: "get",
		doc:       "read " + subOfThe(t.sub) + "the specified " + b.kind.GVK.Kind,
		params:    []common.Parameter{pretty()},
		responses: []response{{http.StatusOK, "OK", t.model}},
	}, t)
}

func (b *builder) replace(t target) {
	b.add(&route{
		method: http.MethodPut, operation: b.op("replace", t, ""), action: "put",
		doc:    "replace " + subOfThe(t.sub) + "the specified " + b.kind.GVK.Kind,
		params: append(options(metav1.UpdateOptions{}), pretty()), body: t.model,
		responses: []response{{http.StatusOK, "OK", t.model}, {http.StatusCreated, "Created", t.model}},
	}, t)
}

func (b *builder) patch(t target) {
	b.add(&route{
		method: http.MethodPatch, operation: b.op("patch", t, ""), action: "patch", consumes: patchTypes(),
		doc:    "partially update " + subOfThe(t.sub) + "the specified " + b.kind.GVK.Kind,
		params: append(options(metav1.PatchOptions{}), pretty()), body: metav1.Patch{},
		responses: []response{{http.StatusOK, "OK", t.model}, {http.StatusCreated, "Created", t.model}},
	}, t)
}

func (b *builder) remove(t target) {
	var model any = metav1.Status{}
	if answersDeletedObject(b.kind.GroupResource()) {
		model = t.model
	}
	b.add(&route{
		method: http.MethodDelete, operation: b.op("delete", t, ""), action: "delete",
		doc:    "delete" + article(b.kind.GVK.Kind) + b.kind.GVK.Kind,
		params: append(options(metav1.DeleteOptions{}), pretty()), body: metav1.DeleteOptions{}, bodyOptional: true,
		responses: []response{{http.StatusOK, "OK", model}, {http.StatusAccepted, "Accepted", model}},
	}, t)
}

func (b *builder) watch(t target) {
	t.path = b.watchPath(t.path)
	b.add(&route{
		method: http.MethodGet, operation: b.op("watch", t, ""), action: "watch", produces: allMediaTypes(),
		doc: "watch changes to an object of kind " + b.kind.GVK.Kind +
			". deprecated: use the 'watch' parameter with a list operation instead, filtered to a single item with the 'fieldSelector' parameter.",
		params:    append(options(metav1.ListOptions{}), pretty()),
		responses: []response{{http.StatusOK, "OK", metav1.WatchEvent{}}},
	}, t)
}

func (b *builder) watchList(t target) {
	t.path = b.watchPath(t.path)
	b.add(&route{
		method: http.MethodGet, operation: b.op("watch", t, "List"), action: "watchlist", produces: allMediaTypes(),
		doc: "watch individual changes to a list of " + b.kind.GVK.Kind +
			". deprecated: use the 'watch' parameter with a list operation instead.",
		params:    append(options(metav1.ListOptions{}), pretty()),
		responses: []response{{http.StatusOK, "OK", metav1.WatchEvent{}}},
	}, t)
}

func (b *builder) watchPath(path string) string {
	return b.root + "/watch" + strings.TrimPrefix(path, b.root)
}

func unique(params []common.Parameter) []common.Parameter {
	var out []common.Parameter
	for _, p := range params {
		if !slices.ContainsFunc(out, func(o common.Parameter) bool { return o.Name() == p.Name() }) {
			out = append(out, p)
		}
	}
	return out
}
