package discovery

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// legacyAnswers are the answers by path without aggregation.
func legacyAnswers(groups []Group, serverAddress string) map[string]*answer {
	out := map[string]*answer{"/apis": newAnswer(groupList(groups))}
	for _, g := range groups {
		prefix := "/apis/" + g.Name
		if g.Name == "" {
			prefix = "/api"
			out[prefix] = newAnswer(coreVersions(g, serverAddress))
		} else {
			out[prefix] = newAnswer(apiGroup(g, true))
		}
		for _, v := range g.Versions {
			out[prefix+"/"+v.Name] = newAnswer(resourceList(g.Name, v))
		}
	}
	return out
}

func coreVersions(g Group, serverAddress string) *metav1.APIVersions {
	out := &metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}}
	for _, v := range g.Versions {
		out.Versions = append(out.Versions, v.Name)
	}
	out.ServerAddressByClientCIDRs = []metav1.ServerAddressByClientCIDR{
		{ClientCIDR: "0.0.0.0/0", ServerAddress: serverAddress},
	}
	return out
}

func groupList(groups []Group) *metav1.APIGroupList {
	out := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{}}
	for _, g := range groups {
		if g.Name != "" && len(g.Versions) > 0 {
			out.Groups = append(out.Groups, *apiGroup(g, false))
		}
	}
	return out
}

// apiGroup has its own kind in front only where it stands alone.
func apiGroup(g Group, alone bool) *metav1.APIGroup {
	out := &metav1.APIGroup{Name: g.Name}
	if alone {
		out.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
	}
	for _, v := range g.Versions {
		out.Versions = append(out.Versions, metav1.GroupVersionForDiscovery{
			GroupVersion: schema.GroupVersion{Group: g.Name, Version: v.Name}.String(), Version: v.Name,
		})
	}
	if len(out.Versions) > 0 {
		out.PreferredVersion = out.Versions[0]
	}
	return out
}

// resourceList leaves apiVersion out for the core group, as upstream does.
func resourceList(group string, v Version) *metav1.APIResourceList {
	out := &metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: schema.GroupVersion{Group: group, Version: v.Name}.String(),
		APIResources: v.Resources,
	}
	if group == "" {
		out.APIVersion = ""
	}
	if out.APIResources == nil {
		out.APIResources = []metav1.APIResource{}
	}
	return out
}
