package client

import (
	"net/url"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api/request"
)

// catalogVersion only satisfies rest.DefaultServerURL, whose path we do not use.
var catalogVersion = schema.GroupVersion{Version: "v1"}

// query is a request's options as URL parameters.
func query(req *request.Request) url.Values {
	q := url.Values{}
	switch req.Verb {
	case request.Get:
		text(q, "resourceVersion", req.GetOptions.ResourceVersion)
	case request.List, request.Watch, request.DeleteCollection:
		listQuery(q, req.ListOptions)
		if req.Verb == request.Watch {
			q.Set("watch", "true")
		}
	case request.Create:
		writeQuery(q, req.CreateOptions.DryRun, req.CreateOptions.FieldManager, req.CreateOptions.FieldValidation)
	case request.Update:
		writeQuery(q, req.UpdateOptions.DryRun, req.UpdateOptions.FieldManager, req.UpdateOptions.FieldValidation)
	case request.Patch:
		writeQuery(q, req.PatchOptions.DryRun, req.PatchOptions.FieldManager, req.PatchOptions.FieldValidation)
		if req.PatchOptions.Force != nil {
			q.Set("force", strconv.FormatBool(*req.PatchOptions.Force))
		}
	}
	return q
}

func listQuery(q url.Values, o metav1.ListOptions) {
	text(q, "labelSelector", o.LabelSelector)
	text(q, "fieldSelector", o.FieldSelector)
	text(q, "resourceVersion", o.ResourceVersion)
	text(q, "resourceVersionMatch", string(o.ResourceVersionMatch))
	text(q, "continue", o.Continue)
	if o.Limit != 0 {
		q.Set("limit", strconv.FormatInt(o.Limit, 10))
	}
	if o.TimeoutSeconds != nil {
		q.Set("timeoutSeconds", strconv.FormatInt(*o.TimeoutSeconds, 10))
	}
	if o.AllowWatchBookmarks {
		q.Set("allowWatchBookmarks", "true")
	}
	if o.SendInitialEvents != nil {
		q.Set("sendInitialEvents", strconv.FormatBool(*o.SendInitialEvents))
	}
}

func writeQuery(q url.Values, dryRun []string, manager, validation string) {
	for _, d := range dryRun {
		q.Add("dryRun", d)
	}
	text(q, "fieldManager", manager)
	text(q, "fieldValidation", validation)
}

func text(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
