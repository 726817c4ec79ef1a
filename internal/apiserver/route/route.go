// Package route reads a request's method and URL into what is asked for: the
// verb, resource and names of an API request, or a plain path.
//
// It is pure and knows no kinds: whether the resource exists is the
// dispatcher's question. The forms of URLs and the verbs that they stand for
// are those of the Kubernetes API, the old /watch/ prefix included.
package route

import (
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Info is what a request asks for.
type Info struct {
	// Resource tells an API request from a plain path (health, discovery).
	Resource bool
	// Path is the URL's path as it came in.
	Path string
	// Verb is one of RBAC's verbs, or the method in lower case.
	Verb string

	Group, Version string
	Namespace      string
	Plural         string
	Subresource    string
	Name           string
	// Selected is the name that a field selector narrows a collection to:
	// authorization may allow it where it does not allow the whole.
	Selected string
	// Rest are the segments behind the subresource.
	Rest []string
	// Extra tells that the path holds more segments than its form allows.
	Extra bool
	// OldWatch tells that the URL had the /watch/ prefix.
	OldWatch bool
}

// GVR is the resource asked for.
func (i *Info) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: i.Group, Version: i.Version, Resource: i.Plural}
}

// Parse reads a method and a URL. It never fails: what is not an API request
// is a plain path.
func Parse(method string, u *url.URL) *Info {
	info := &Info{Path: u.Path, Verb: strings.ToLower(method)}
	parts := split(u.Path)
	if len(parts) < 3 {
		return info
	}
	switch parts[0] {
	case "api":
		info.Version, parts = parts[1], parts[2:]
	case "apis":
		if len(parts) < 4 {
			return info
		}
		info.Group, info.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return info
	}
	info.Resource = true
	info.Verb = verbOf(method)
	if parts[0] == "watch" && len(parts) > 1 {
		info.Verb, info.OldWatch = "watch", true
		parts = parts[1:]
	}
	info.place(parts)
	info.refine(u)
	return info
}

// place distributes the segments behind group and version.
func (i *Info) place(parts []string) {
	if parts[0] == "namespaces" && len(parts) > 1 {
		i.Namespace = parts[1]
		if len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
			parts = parts[2:]
		}
	}
	i.Plural = parts[0]
	if len(parts) > 1 {
		i.Name = parts[1]
	}
	if len(parts) > 2 {
		i.Subresource = parts[2]
	}
	if len(parts) > 3 {
		i.Rest = parts[3:]
		i.Extra = i.Subresource != "proxy"
	}
}

// refine turns get and delete without a name into their collection forms.
func (i *Info) refine(u *url.URL) {
	if i.Name != "" && !i.OldWatch {
		return
	}
	i.Selected = selected(u)
	switch i.Verb {
	case "get":
		i.Verb = "list"
		if u.RawQuery != "" && wantsWatch(u.Query()["watch"]) {
			i.Verb = "watch"
		}
	case "delete":
		i.Verb = "deletecollection"
	}
}

// selected reads metadata.name=x out of a field selector. What cannot be read
// selects nothing here, and is refused later.
func selected(u *url.URL) string {
	if !strings.Contains(u.RawQuery, "fieldSelector") {
		return ""
	}
	s, err := fields.ParseSelector(u.Query().Get("fieldSelector"))
	if err != nil {
		return ""
	}
	name, _ := s.RequiresExactMatch("metadata.name")
	return name
}

func wantsWatch(values []string) bool {
	if len(values) == 0 {
		return false
	}
	switch strings.ToLower(values[0]) {
	case "false", "0":
		return false
	}
	return true
}

func verbOf(method string) string {
	switch method {
	case "POST":
		return "create"
	case "GET", "HEAD":
		return "get"
	case "PUT":
		return "update"
	case "PATCH":
		return "patch"
	case "DELETE":
		return "delete"
	}
	return ""
}

func split(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
