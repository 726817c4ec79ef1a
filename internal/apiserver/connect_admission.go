package apiserver

import (
	"net/http"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/audit"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// admitConnection asks admission about every connection but a log, which is a
// read. Its object are the options that the URL holds.
func (s *Server) admitConnection(r *http.Request, c *call, namespace, name string) error {
	if c.info.Subresource == "log" {
		return nil
	}
	a := &admission.Attributes{Operation: admission.Connect, Kind: c.kind, Subresource: c.info.Subresource, Namespace: namespace,
		Name: name, User: c.user, Body: verb.Body(c.kind, c.info.Subresource), Warn: c.warn,
		Annotate: func(key, value string) { audit.AddAuditAnnotation(r.Context(), key, value) }}
	if options := connectOptions(a.Body.Kind, r.URL.Query(), rest(c, r)); options != nil {
		options.GetObjectKind().SetGroupVersionKind(a.Body)
		a.Object = options
	}
	if err := s.Admission.Mutate(r.Context(), a); err != nil {
		return err
	}
	return s.Admission.Validate(r.Context(), a)
}

// connectOptions are a connection's options by their kind, as far as the query
// says them.
func connectOptions(kind string, q url.Values, path string) runtime.Object {
	flag := func(key string) bool {
		values, has := q[key]
		return has && len(values) > 0 && values[0] != "0" && !strings.EqualFold(values[0], "false")
	}
	switch kind {
	case "PodExecOptions":
		return &corev1.PodExecOptions{Stdin: flag("stdin"), Stdout: flag("stdout"), Stderr: flag("stderr"), TTY: flag("tty"),
			Container: q.Get("container"), Command: q["command"]}
	case "PodAttachOptions":
		return &corev1.PodAttachOptions{Stdin: flag("stdin"), Stdout: flag("stdout"), Stderr: flag("stderr"), TTY: flag("tty"), Container: q.Get("container")}
	case "PodPortForwardOptions":
		return &corev1.PodPortForwardOptions{}
	case "PodProxyOptions":
		return &corev1.PodProxyOptions{Path: path}
	case "ServiceProxyOptions":
		return &corev1.ServiceProxyOptions{Path: path}
	case "NodeProxyOptions":
		return &corev1.NodeProxyOptions{Path: path}
	}
	return nil
}
