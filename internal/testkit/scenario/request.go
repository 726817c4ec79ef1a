package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/testkit"
)

// target is what a command is about; without a name all of the kind.
type target struct {
	kind            *api.Kind
	namespace, name string
}

// target reads KIND[/NAME].
func (w *world) target(c command) (target, error) {
	word, name, _ := strings.Cut(c.first(), "/")
	namespace := c.options["n"]
	if namespace == "" {
		namespace = "default"
	}
	for _, k := range slices.Concat(w.cluster.Catalog.Kinds(), w.cluster.Catalog.Custom()) {
		if (k.View == nil || k.Custom != nil && k.Custom.Preferred) && (k.Resource == word || k.Singular == word || slices.Contains(k.ShortNames, word)) {
			return target{k, namespace, name}, nil
		}
	}
	return target{}, fmt.Errorf("no kind is called %q", word)
}

func (t target) path(subresources ...string) string {
	gvk := t.kind.GVK
	parts := []string{"", "apis", gvk.Group, gvk.Version}
	if gvk.Group == "" {
		parts = []string{"", "api", gvk.Version}
	}
	if t.kind.Namespaced {
		parts = append(parts, "namespaces", t.namespace)
	}
	parts = append(parts, t.kind.Resource)
	if t.name != "" {
		parts = append(parts, t.name)
	}
	return strings.Join(append(parts, subresources...), "/")
}

// send asks the API server as the administrator, and reads the answer.
func (w *world) send(method, path, media string, body []byte) (int, []byte) {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testkit.Token)
	if method == http.MethodGet {
		r.Header.Set("Accept", media)
	} else {
		r.Header.Set("Content-Type", media)
	}
	answer := httptest.NewRecorder()
	w.cluster.Server.Handler().ServeHTTP(answer, r)
	return answer.Code, answer.Body.Bytes()
}

// write sends a change; the text is why it was refused.
func (w *world) write(method, path, media string, body []byte) string {
	code, data := w.send(method, path, media, body)
	if code < http.StatusBadRequest {
		return ""
	}
	var status struct{ Reason, Message string }
	if err := json.Unmarshal(data, &status); err != nil {
		status.Message = string(data)
	}
	return normal(fmt.Sprintf("%s: %s\n", status.Reason, status.Message))
}

func (w *world) apply(manifests string) (string, error) {
	var out strings.Builder
	for _, text := range strings.Split(manifests, "\n---\n") {
		var obj unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
			return "", err
		}
		kind := w.cluster.Catalog.Kind(obj.GroupVersionKind())
		if kind == nil {
			return "", fmt.Errorf("no kind %s", obj.GroupVersionKind())
		}
		at := target{kind, obj.GetNamespace(), obj.GetName()}
		if at.namespace == "" {
			at.namespace = "default"
		}
		body, err := json.Marshal(obj.Object)
		if err != nil {
			return "", err
		}
		const asScenario = "?fieldManager=scenario&force=true"
		refused := w.write(http.MethodPatch, at.path()+asScenario, string(types.ApplyYAMLPatchType), body)
		if _, told := obj.Object["status"]; told && refused == "" {
			refused = w.write(http.MethodPatch, at.path("status")+asScenario, string(types.ApplyYAMLPatchType), body)
		}
		out.WriteString(refused)
		synctest.Wait() // whom it concerns has seen it before the next one comes
	}
	return out.String(), nil
}

func (w *world) patch(c command) (string, error) {
	t, err := w.target(c)
	if err != nil {
		return "", err
	}
	body, err := yaml.YAMLToJSON([]byte(c.input))
	if err != nil {
		return "", err
	}
	path := t.path()
	if sub := c.options["sub"]; sub != "" {
		path = t.path(sub)
	}
	return w.write(http.MethodPatch, path, string(types.MergePatchType), body), nil
}

func (w *world) remove(c command) (string, error) {
	t, err := w.target(c)
	if err != nil {
		return "", err
	}
	options := map[string]any{}
	if cascade := c.options["cascade"]; cascade != "" {
		options["propagationPolicy"] = strings.ToUpper(cascade[:1]) + cascade[1:]
	}
	if c.has("now") {
		options["gracePeriodSeconds"] = 0
	}
	body, err := json.Marshal(options)
	return w.write(http.MethodDelete, t.path(), "application/json", body), err
}

func (w *world) evict(c command) (string, error) {
	name := c.first()
	body := fmt.Appendf(nil, `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q}}`, name)
	return w.write(http.MethodPost, "/api/v1/namespaces/default/pods/"+url.PathEscape(name)+"/eviction", "application/json", body), nil
}
