package openapi

import (
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/openapi/operation"
)

// kindOperations are all operations on a kind below root ("/apis/apps/v1").
func kindOperations(root string, k *api.Kind) []*operation.Operation {
	b := builder{root: root, kind: k}
	b.main()
	if k.Status != nil {
		b.subresource(api.Subresource{Name: "status", GVK: k.GVK, Verbs: []string{"get", "patch", "update"}})
	}
	for _, s := range k.Subresources {
		b.subresource(s)
	}
	return b.operations
}

// builder collects the operations of a kind.
type builder struct {
	root       string
	kind       *api.Kind
	operations []*operation.Operation
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
		t.params = []common.Parameter{operation.Namespace()}
	}
	return t
}

func (b *builder) item(resource, nameOf string) target {
	t := b.collection(resource, nameOf)
	t.path += "/{name}"
	t.params = append(t.params, operation.Name(nameOf))
	return t
}

// op names an operation: verb, scope, kind, subresource.
func (b *builder) op(verb string, t target, more string) string {
	scope := ""
	if b.kind.Namespaced && !t.allNamespaces {
		scope = "Namespaced"
	}
	return verb + scope + b.kind.GVK.Kind + operation.Title(t.sub) + more + t.suffix
}

func (b *builder) add(o *operation.Operation, t target) {
	o.Path, o.Kind = t.path, t.gvk
	o.Params = append(o.Params, t.params...)
	if o.Consumes == nil {
		o.Consumes = []string{"*/*"}
	}
	if o.Produces == nil {
		o.Produces = mediaTypes()
	}
	b.operations = append(b.operations, o)
}

func (b *builder) list(t target) {
	doc := "list objects of kind " + b.kind.GVK.Kind
	produces := mediaTypes()
	if b.kind.HasVerb("watch") {
		doc, produces = "list or watch objects of kind "+b.kind.GVK.Kind, allMediaTypes()
	}
	b.add(&operation.Operation{
		Method: http.MethodGet, Name: b.op("list", t, ""), Text: doc, Action: "list", Produces: produces,
		Params:  append(operation.Options(metav1.ListOptions{}), operation.Pretty()),
		Answers: operation.Answers(b.kind.NewList(), http.StatusOK),
	}, t)
}

func (b *builder) create(t target) {
	b.add(&operation.Operation{
		Method: http.MethodPost, Name: b.op("create", t, ""), Action: "post",
		Text:   "create" + ofSub(t.sub) + operation.Article(b.kind.GVK.Kind) + b.kind.GVK.Kind,
		Params: append(operation.Options(metav1.CreateOptions{}), operation.Pretty()), Body: t.model,
		Answers: operation.Answers(t.model, http.StatusOK, http.StatusCreated, http.StatusAccepted),
	}, t)
}

func (b *builder) deleteCollection(t target) {
	params := append(operation.Options(metav1.DeleteOptions{}), operation.Options(metav1.ListOptions{}, "watch", "allowWatchBookmarks")...)
	b.add(&operation.Operation{
		Method: http.MethodDelete, Name: b.op("deletecollection", t, ""), Action: "deletecollection",
		Text:   "delete collection of " + b.kind.GVK.Kind,
		Params: append(unique(params), operation.Pretty()), Body: metav1.DeleteOptions{}, BodyOptional: true,
		Answers: operation.Answers(metav1.Status{}, http.StatusOK),
	}, t)
}

func (b *builder) read(t target) {
	b.add(&operation.Operation{
		Method: http.MethodGet, Name: b.op("read", t, ""), Action: "get",
		Text:    "read " + subOfThe(t.sub) + "the specified " + b.kind.GVK.Kind,
		Params:  []common.Parameter{operation.Pretty()},
		Answers: operation.Answers(t.model, http.StatusOK),
	}, t)
}

func (b *builder) replace(t target) {
	b.add(&operation.Operation{
		Method: http.MethodPut, Name: b.op("replace", t, ""), Action: "put",
		Text:   "replace " + subOfThe(t.sub) + "the specified " + b.kind.GVK.Kind,
		Params: append(operation.Options(metav1.UpdateOptions{}), operation.Pretty()), Body: t.model,
		Answers: operation.Answers(t.model, http.StatusOK, http.StatusCreated),
	}, t)
}

func (b *builder) patch(t target) {
	b.add(&operation.Operation{
		Method: http.MethodPatch, Name: b.op("patch", t, ""), Action: "patch", Consumes: patchTypes(),
		Text:   "partially update " + subOfThe(t.sub) + "the specified " + b.kind.GVK.Kind,
		Params: append(operation.Options(metav1.PatchOptions{}), operation.Pretty()), Body: metav1.Patch{},
		Answers: operation.Answers(t.model, http.StatusOK, http.StatusCreated),
	}, t)
}

func (b *builder) remove(t target) {
	var model any = metav1.Status{}
	if answersDeletedObject(b.kind.GroupResource()) {
		model = t.model
	}
	b.add(&operation.Operation{
		Method: http.MethodDelete, Name: b.op("delete", t, ""), Action: "delete",
		Text:   "delete" + operation.Article(b.kind.GVK.Kind) + b.kind.GVK.Kind,
		Params: append(operation.Options(metav1.DeleteOptions{}), operation.Pretty()), Body: metav1.DeleteOptions{}, BodyOptional: true,
		Answers: operation.Answers(model, http.StatusOK, http.StatusAccepted),
	}, t)
}

func (b *builder) watch(t target) {
	t.path = b.watchPath(t.path)
	b.add(&operation.Operation{
		Method: http.MethodGet, Name: b.op("watch", t, ""), Action: "watch", Produces: allMediaTypes(),
		Text: "watch changes to an object of kind " + b.kind.GVK.Kind +
			". deprecated: use the 'watch' parameter with a list operation instead, filtered to a single item with the 'fieldSelector' parameter.",
		Params:  append(operation.Options(metav1.ListOptions{}), operation.Pretty()),
		Answers: operation.Answers(metav1.WatchEvent{}, http.StatusOK),
	}, t)
}

func (b *builder) watchList(t target) {
	t.path = b.watchPath(t.path)
	b.add(&operation.Operation{
		Method: http.MethodGet, Name: b.op("watch", t, "List"), Action: "watchlist", Produces: allMediaTypes(),
		Text: "watch individual changes to a list of " + b.kind.GVK.Kind +
			". deprecated: use the 'watch' parameter with a list operation instead.",
		Params:  append(operation.Options(metav1.ListOptions{}), operation.Pretty()),
		Answers: operation.Answers(metav1.WatchEvent{}, http.StatusOK),
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
