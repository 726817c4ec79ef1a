package crd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// configMaps stand for the rest of the API.
const configMaps = "/api/v1/namespaces/default/configmaps"

// restAnswers holds the server against a write and a read of another kind.
func restAnswers(t *testing.T, s *apitest.Server, name string) {
	t.Helper()
	want(t, s, 201, "POST", configMaps, fmt.Sprintf(`{"metadata":{"name":%q}}`, name))
	want(t, s, 200, "GET", configMaps+"/"+name, "")
}

// A definition that would cost too much is refused, or served; neither takes
// the server with it.
func TestSchemasThatBomb(t *testing.T) {
	deep := strings.Repeat(`{"type":"object","properties":{"a":`, 500) + `{"type":"string"}` + strings.Repeat(`}}`, 500)
	var wide, many strings.Builder
	for i := range 400 {
		fmt.Fprintf(&wide, `,"p%d":{"type":"object","default":{},"properties":{"q":{"type":"array","default":[],"items":{"type":"string"}}}}`, i)
		fmt.Fprintf(&many, `,"value-%d"`, i)
	}
	rules := strings.Repeat(`,{"rule":"self.all(a, self.exists(b, a == b))"}`, 500)
	for name, c := range map[string]struct {
		extra string
		codes []int
	}{
		"deep":           {`,"x":` + deep, []int{201, 400, 413, 422}},
		"wide defaults":  {wide.String(), []int{201, 413, 422}},
		"enumeration":    {`,"x":{"type":"string","enum":["first"` + many.String() + `]}`, []int{201}},
		"pattern":        {`,"x":{"type":"string","pattern":"((a{1,1000}){1,1000}){1,1000}"}`, []int{422}},
		"many rules":     {`,"x":{"type":"array","items":{"type":"string"},"x-kubernetes-validations":[{"rule":"true"}` + rules + `]}`, []int{422}},
		"recursive":      {`,"x":{"$ref":"#"}`, []int{422}},
		"lists of lists": {`,"x":` + strings.Repeat(`{"type":"array","items":`, 400) + `{"type":"string","x-kubernetes-validations":[{"rule":"self != ''"}]}` + strings.Repeat(`}`, 400), []int{201, 422}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			code, _, body := s.Do(t, http.MethodPost, definitions, definition(none, c.extra))
			if !contains(c.codes, code) {
				t.Fatalf("the answer is %d, want one of %v: %.300s", code, c.codes, body)
			}
			restAnswers(t, s, "other")
			if code != http.StatusCreated {
				return
			}
			eventually(t, s, 200, widgets)
			want(t, s, 201, "POST", widgets, widget("v1", "a", `{"color":"red"}`))
			want(t, s, 200, "GET", widgets, "")
		})
	}
}

func contains(codes []int, code int) bool {
	for _, c := range codes {
		if c == code {
			return true
		}
	}
	return false
}

// An object as deep as a body may be is taken or refused where the schema lets
// anything in, in every way of writing it.
func TestObjectsThatBomb(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, `,"any":{"type":"object","x-kubernetes-preserve-unknown-fields":true}`))
	eventually(t, s, 200, widgets)
	for name, depth := range map[string]int{"deep": 1000, "bottomless": 200_000} {
		any := strings.Repeat(`{"a":`, depth) + `{}` + strings.Repeat(`}`, depth)
		for _, method := range []string{"POST", "apply"} {
			path, headers, verb := widgets, []string{"Content-Type", "application/json"}, method
			if method == "apply" {
				path, headers, verb = widgets+"/"+name+"-apply?fieldManager=m", []string{"Content-Type", "application/apply-patch+yaml"}, "PATCH"
			}
			code, _, _ := s.Do(t, verb, path, widget("v1", name+"-"+strings.ToLower(method), `{"any":`+any+`}`), headers...)
			if code != 201 && (code < 400 || code >= 500) {
				t.Errorf("%s %s is answered %d", method, name, code)
			}
			restAnswers(t, s, name+"-"+strings.ToLower(method))
		}
	}
	want(t, s, 200, "GET", widgets, "")
}

// While a conversion hangs, what needs none and the rest of the API go on.
func TestAConversionThatHangs(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{}, 100)
	plain := convert(func(map[string]any) {})
	s := start(t)
	conversion := hook(t, func(w http.ResponseWriter, review map[string]any) {
		asked <- struct{}{}
		<-release
		plain(w, review)
	})
	want(t, s, 201, "POST", definitions, definition(conversion, ""))
	eventually(t, s, 200, widgets)
	want(t, s, 201, "POST", widgets, widget("v1", "a", `{"color":"red"}`))
	answered := make(chan int, 1)
	go func() {
		code, _, _ := s.Do(t, "GET", strings.Replace(widgets, "v1", "v2", 1)+"/a", "")
		answered <- code
	}()
	<-asked
	want(t, s, 200, "GET", widgets+"/a", "")
	want(t, s, 201, "POST", widgets, widget("v1", "b", `{"color":"blue"}`))
	restAnswers(t, s, "other")
	close(release)
	if code := <-answered; code != 200 {
		t.Errorf("the conversion that was released is answered %d", code)
	}
}

// A conversion may not touch what identifies an object, and what it loses of
// the rest is lost in its answer alone: what is stored stays.
func TestAConversionThatLosesData(t *testing.T) {
	for name, c := range map[string]struct {
		change func(obj map[string]any)
		code   int
	}{
		"drops the spec":   {func(obj map[string]any) { delete(obj, "spec") }, 200},
		"drops the uid":    {func(obj map[string]any) { delete(obj["metadata"].(map[string]any), "uid") }, 500},
		"moves it":         {func(obj map[string]any) { obj["metadata"].(map[string]any)["namespace"] = "kube-system" }, 500},
		"drops metadata":   {func(obj map[string]any) { delete(obj, "metadata") }, 500},
		"another kind":     {func(obj map[string]any) { obj["kind"] = "Gadget" }, 500},
		"metadata is text": {func(obj map[string]any) { obj["metadata"] = "none" }, 500},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			want(t, s, 201, "POST", definitions, definition(hook(t, convert(c.change)), ""))
			eventually(t, s, 200, widgets)
			want(t, s, 201, "POST", widgets, widget("v1", "a", `{"color":"red"}`))
			want(t, s, c.code, "GET", strings.Replace(widgets, "v1", "v2", 1)+"/a", "")
			if got := want(t, s, 200, "GET", widgets+"/a", ""); at(got, "spec", "color") != "red" {
				out, _ := json.Marshal(got)
				t.Errorf("stored is %s", out)
			}
			restAnswers(t, s, "other")
		})
	}
}
