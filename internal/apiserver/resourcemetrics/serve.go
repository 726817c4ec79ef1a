package resourcemetrics

import (
	"context"
	stderrors "errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
	"github.com/knarr-io/knarr/internal/apiserver/negotiate"
	"github.com/knarr-io/knarr/internal/apiserver/route"
	"github.com/knarr-io/knarr/internal/apiserver/table"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func nameOf(p *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

// ServeHTTP answers a path of the group, for who was let in already.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := negotiate.Accept(r.Header.Get("Accept"), false, true)
	answer.Pretty = answer.Pretty || negotiate.Pretty(r.URL.Query().Get("pretty"), r.UserAgent())
	if err != nil {
		fail(w, answer, err)
		return
	}
	info := route.Parse(r.Method, r.URL)
	if !info.Resource {
		s.group(w, r, answer)
		return
	}
	if err := s.resource(w, r, info, answer); err != nil {
		fail(w, answer, err)
	}
}

// group answers with what there is in the group.
func (s *Server) group(w http.ResponseWriter, r *http.Request, answer negotiate.Answer) {
	if strings.Trim(r.URL.Path, "/") != "apis/"+GroupVersion().String() {
		http.NotFound(w, r)
		return
	}
	list := &metav1.APIResourceList{GroupVersion: GroupVersion().String(), APIResources: Resources()}
	send(w, answer, http.StatusOK, list, schema.GroupVersionKind{Version: "v1", Kind: "APIResourceList"})
}

func (s *Server) resource(w http.ResponseWriter, r *http.Request, info *route.Info, answer negotiate.Answer) error {
	kind := s.kindOf(info)
	switch {
	case kind == nil:
		return status(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
	case info.Verb != "get" && info.Verb != "list":
		return status(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the server does not allow this method on the requested resource")
	case info.Name != "":
		obj, err := s.get(r.Context(), kind, info)
		if err != nil {
			return err
		}
		return s.answer(w, r, answer, kind, obj, []api.Object{obj})
	}
	list, objects, err := s.list(r, kind, info)
	if err != nil {
		return err
	}
	return s.answer(w, r, answer, kind, list, objects)
}

// kindOf is what a path is about; nil: nothing of this group.
func (s *Server) kindOf(info *route.Info) *api.Kind {
	switch {
	case info.GVR().GroupVersion() != GroupVersion() || info.Subresource != "" || info.Extra:
		return nil
	case info.Plural == "nodes" && info.Namespace == "":
		return s.nodeKind
	case info.Plural == "pods" && (info.Namespace != "" || info.Name == ""):
		return s.podKind
	}
	return nil
}

func (s *Server) get(ctx context.Context, kind *api.Kind, info *route.Info) (api.Object, error) {
	if kind == s.nodeKind {
		item, found := s.nodes.Get("", info.Name)
		if !found {
			return nil, errors.NewNotFound(corev1.Resource("nodes"), info.Name)
		}
		if got := s.nodeMetrics(ctx, []*corev1.Node{item.Object.(*corev1.Node)}); len(got) == 1 {
			return &got[0], nil
		}
		return nil, errors.NewNotFound(kind.GroupResource(), info.Name)
	}
	item, found := s.pods.Get(info.Namespace, info.Name)
	if !found {
		return nil, errors.NewNotFound(corev1.Resource("pods"), info.Name)
	}
	if got := s.podMetrics(ctx, []*corev1.Pod{item.Object.(*corev1.Pod)}); len(got) == 1 {
		return &got[0], nil
	}
	return nil, errors.NewNotFound(kind.GroupResource(), info.Namespace+"/"+info.Name)
}

// list answers for all that the request's selectors take.
func (s *Server) list(r *http.Request, kind *api.Kind, info *route.Info) (runtime.Object, []api.Object, error) {
	query := r.URL.Query()
	selector, err := listing.ParseSelector(kind, query.Get("labelSelector"), query.Get("fieldSelector"))
	if err != nil {
		return nil, nil, err
	}
	var objects []api.Object
	if kind == s.nodeKind {
		list := &v1beta1.NodeMetricsList{Items: s.nodeMetrics(r.Context(), selected[*corev1.Node](s.nodes, "", selector))}
		for i := range list.Items {
			objects = append(objects, &list.Items[i])
		}
		return list, objects, nil
	}
	list := &v1beta1.PodMetricsList{Items: s.podMetrics(r.Context(), selected[*corev1.Pod](s.pods, info.Namespace, selector))}
	for i := range list.Items {
		objects = append(objects, &list.Items[i])
	}
	return list, objects, nil
}

// selected are the objects of a namespace that a selector takes, in order.
func selected[T api.Object](r *cache.Resource, namespace string, selector listing.Selector) []T {
	var out []T
	r.Snapshot().Ascend(namespace, "", "", func(item *cache.Item) bool {
		if selector.Matches(item.Object) {
			out = append(out, item.Object.(T))
		}
		return true
	})
	return out
}

// answer sends an object or a list in the form that was settled.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, answer negotiate.Answer, kind *api.Kind, whole runtime.Object, objects []api.Object) error {
	switch answer.Target {
	case negotiate.Table:
		include, err := table.ParseInclude(r.URL.Query().Get("includeObject"))
		if err != nil {
			return err
		}
		send(w, answer, http.StatusOK, table.Of(kind, metav1.ListMeta{}, objects, include, s.now()), metav1.SchemeGroupVersion.WithKind("Table"))
		return nil
	case negotiate.Metadata:
		if len(objects) == 1 && whole == runtime.Object(objects[0]) {
			send(w, answer, http.StatusOK, table.Metadata(objects[0]), metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
			return nil
		}
		fallthrough
	case negotiate.MetadataList:
		list := &metav1.PartialObjectMetadataList{Items: []metav1.PartialObjectMetadata{}}
		for _, obj := range objects {
			list.Items = append(list.Items, *table.Metadata(obj))
		}
		send(w, answer, http.StatusOK, list, metav1.SchemeGroupVersion.WithKind("PartialObjectMetadataList"))
		return nil
	}
	gvk := kind.GVK
	if len(objects) != 1 || whole != runtime.Object(objects[0]) {
		gvk.Kind += "List"
	}
	send(w, answer, http.StatusOK, whole, gvk)
	return nil
}

func send(w http.ResponseWriter, answer negotiate.Answer, code int, obj runtime.Object, gvk schema.GroupVersionKind) {
	body, err := codec.Encode(obj, gvk, answer.Format, answer.Pretty)
	if err != nil {
		http.Error(w, fmt.Sprintf("encoding the answer: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", answer.Format.MediaType())
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that went away is no error of ours
}

func status(code int32, reason metav1.StatusReason, message string) error {
	return &errors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{}}}
}

// fail answers with an error of the API.
func fail(w http.ResponseWriter, answer negotiate.Answer, err error) {
	var known errors.APIStatus
	if !stderrors.As(err, &known) {
		known = errors.NewInternalError(err)
	}
	answer.Target = negotiate.Whole
	out := known.Status()
	send(w, answer, int(out.Code), &out, schema.GroupVersionKind{Version: "v1", Kind: "Status"})
}
