package crd_test

import (
	"fmt"
	"testing"
)

// Whoever applies an object or its status writes the numbers of its scale as
// whole numbers, in JSON and in YAML.
func TestAppliedNumbersAreThoseOfScale(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, `{"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced",
"names":{"plural":"widgets","kind":"Widget"},"versions":[{"name":"v1","served":true,"storage":true,
"subresources":{"status":{},"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}},
"schema":{"openAPIV3Schema":{"type":"object","properties":{
"spec":{"type":"object","properties":{"replicas":{"type":"integer"}}},"status":{"type":"object","properties":{"replicas":{"type":"integer"}}}}}}}]}}`)
	eventually(t, s, 200, widgets)
	for i, text := range []string{
		`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},%q:{"replicas":%d}}`,
		"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n%s: {replicas: %d}\n",
	} {
		apply := func(path, part string, replicas, code int) {
			t.Helper()
			want(t, s, code, "PATCH", path+"?fieldManager=m&force=true", fmt.Sprintf(text, part, replicas), "Content-Type", "application/apply-patch+yaml")
		}
		apply(widgets+"/w", "spec", 3+i, map[int]int{0: 201, 1: 200}[i])
		apply(widgets+"/w/status", "status", 2+i, 200)
		scale := want(t, s, 200, "GET", widgets+"/w/scale", "")
		if at(scale, "spec", "replicas") != float64(3+i) || at(scale, "status", "replicas") != float64(2+i) {
			t.Errorf("the scale is %v %v", scale["spec"], scale["status"])
		}
		apply(widgets+"/w", "spec", -1, 422)
	}
}
