package openapi

import "k8s.io/apimachinery/pkg/runtime/schema"

func mediaTypes() []string {
	return []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}
}

func allMediaTypes() []string {
	return append(mediaTypes(), "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
}

func patchTypes() []string {
	return []string{
		"application/json-patch+json", "application/merge-patch+json",
		"application/strategic-merge-patch+json", "application/apply-patch+yaml",
	}
}

// answersDeletedObject tells which kinds answer a deletion with the object
// rather than with a Status.
func answersDeletedObject(r schema.GroupResource) bool {
	switch r.Group {
	case "":
		switch r.Resource {
		case "persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "resourcequotas", "serviceaccounts", "services":
			return true
		}
	case "storage.k8s.io":
		switch r.Resource {
		case "csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses":
			return true
		}
	}
	return false
}

// ofSub is " status of" or nothing.
func ofSub(sub string) string {
	if sub == "" {
		return ""
	}
	return " " + sub + " of"
}

// subOfThe is "status of " or nothing.
func subOfThe(sub string) string {
	if sub == "" {
		return ""
	}
	return sub + " of "
}
