package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// A state that is not kept any more is gone; who was going through it may go on
// in the newest one.
func TestListsOfStatesThatAreGone(t *testing.T) {
	s := apitest.Start(t, nil)
	for _, name := range []string{"a", "b", "c"} {
		create(t, s, name, "")
	}
	first := s.Must(t, http.MethodGet, configMaps+"?limit=1", "", http.StatusOK)
	next, _, _ := unstructured.NestedString(first.Object, "metadata", "continue")
	create(t, s, "d", "")
	if err := s.Store.Compact(t.Context(), s.Cache.Revision()); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"?limit=1&continue=" + next, "?resourceVersionMatch=Exact&resourceVersion=" + first.GetResourceVersion()} {
		gone := s.Must(t, http.MethodGet, configMaps+query, "", http.StatusGone)
		if gone.Object["reason"] != "Expired" {
			t.Errorf("%s: %v", query, gone.Object)
		}
		next, _, _ = unstructured.NestedString(gone.Object, "metadata", "continue")
		if next == "" {
			continue
		}
		rest, err := s.Must(t, http.MethodGet, configMaps+"?continue="+next, "", http.StatusOK).ToList()
		if err != nil || len(rest.Items) != 3 || rest.Items[0].GetName() != "b" {
			t.Errorf("the rest is %v, %v", rest, err)
		}
	}
}

// A watch that asks for changes which are not kept any more is told to begin
// anew: by an event, since the answer has begun.
func TestWatchesOfStatesThatAreGone(t *testing.T) {
	s := apitest.Start(t, nil)
	create(t, s, "a", "")
	from := s.Must(t, http.MethodGet, configMaps+"/a", "", http.StatusOK).GetResourceVersion()
	for i := range 256 { // 12 MiB, of which 8 are kept
		merge(t, s, "a", fmt.Sprintf(`{"data":{"k":"%d%s"}}`, i, strings.Repeat("x", 48<<10)))
	}
	answer := s.Must(t, http.MethodGet, configMaps+"?watch=1&resourceVersion="+from, "", http.StatusOK)
	status, _, _ := unstructured.NestedMap(answer.Object, "object")
	if answer.Object["type"] != "ERROR" || status["reason"] != "Expired" || fmt.Sprint(status["code"]) != "410" {
		t.Errorf("it is told %v", answer.Object)
	}
}
