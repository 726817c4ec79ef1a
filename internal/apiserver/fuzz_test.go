package apiserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/mutate"
)

// Whatever is sent to the API, the answer is one of the client's faults with
// a Status, or a success: never a failure of the server's, and never nothing.

// asks are requests that make sense, in one text each: line, content type,
// body.
var asks = []string{
	"GET " + configMaps + "?limit=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0\n\n",
	"GET " + configMaps + "?labelSelector=a+in+(b,c),!d&fieldSelector=metadata.name%21%3Dx\n\n",
	"GET " + configMaps + "?resourceVersion=1&resourceVersionMatch=NotOlderThan&limit=5\n\n",
	"GET " + configMaps + "/seed?pretty=true\n\n",
	"POST " + configMaps + "?dryRun=All&fieldValidation=Strict\napplication/json\n" + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"x":"y"},"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u"}]},"data":{"k":"v"}}`,
	"POST " + configMaps + "?dryRun=All\napplication/yaml\nmetadata: &m {generateName: b-, annotations: {k: v}}\ndata: {a: b}\n",
	"POST " + configMaps + "?dryRun=All\napplication/vnd.kubernetes.protobuf\nk8s\x00\n\x0f\n\x02v1\x12\tConfigMap\x12\x0c\n\n\n\x01a\x12\x00\x1a\x00\"\x00*\x00",
	"PUT " + configMaps + "/seed?dryRun=All\napplication/json\n" + `{"metadata":{"name":"seed","managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1","time":"2020-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:k":{}}}}]},"data":{"k":"w"}}`,
	"PATCH " + configMaps + "/seed?dryRun=All\napplication/json-patch+json\n" + `[{"op":"test","path":"/data/k","value":"v"},{"op":"copy","from":"/data","path":"/metadata/labels"},{"op":"move","from":"/data/k","path":"/data/l"},{"op":"remove","path":"/data"}]`,
	"PATCH " + configMaps + "/seed?dryRun=All\napplication/merge-patch+json\n" + `{"metadata":{"labels":{"a":null}},"data":{"k":null,"l":"m"}}`,
	"PATCH /api/v1/namespaces/default/pods/seed?dryRun=All\napplication/strategic-merge-patch+json\n" + `{"spec":{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"name":"c","image":"j","$patch":"replace"}],"tolerations":[{"key":"a","operator":"Exists"}]}}`,
	"PATCH /api/v1/namespaces/default/pods/seed?dryRun=All&fieldManager=m&force=true\napplication/apply-patch+yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: seed, labels: {a: b}}\nspec:\n  containers:\n  - {name: c, image: j, ports: [{containerPort: 80, protocol: TCP}]}\n",
	"PATCH " + configMaps + "/other?dryRun=All&fieldManager=m\napplication/apply-patch+yaml\n" + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"other","finalizers":["a/b"]},"data":{"k":"v"}}`,
	"PATCH /apis/apps/v1/namespaces/default/deployments/seed/scale?dryRun=All\napplication/merge-patch+json\n" + `{"spec":{"replicas":3}}`,
	"DELETE " + configMaps + "/seed?dryRun=All&propagationPolicy=Foreground\napplication/json\n" + `{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":5,"preconditions":{"uid":"x"},"dryRun":["All"]}`,
	"DELETE " + configMaps + "?dryRun=All&labelSelector=a%3Db\n\n",
	"POST /api/v1/namespaces/default/services?dryRun=All\napplication/json\n" + `{"metadata":{"name":"s"},"spec":{"type":"NodePort","clusterIP":"10.96.0.9","ports":[{"port":80,"targetPort":"x","nodePort":30001}],"ipFamilies":["IPv4"]}}`,
	"POST /api/v1/namespaces/default/pods?dryRun=All\napplication/json\n" + `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"1"},"limits":{"memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":80}}}],"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"s"}}]}}],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}]}}}}}`,
}

func seeded(t testing.TB) *apitest.Server {
	s := apitest.Start(t, func(c *apiserver.Config) { c.RequestTimeout = 20 * time.Second })
	for path, body := range map[string]string{
		configMaps:                        `{"metadata":{"name":"seed","labels":{"a":"b"}},"data":{"k":"v"}}`,
		"/api/v1/namespaces/default/pods": `{"metadata":{"name":"seed"},"spec":{"containers":[{"name":"c","image":"i"}]}}`,
		"/apis/apps/v1/namespaces/default/deployments": `{"metadata":{"name":"seed"},"spec":{"selector":{"matchLabels":{"a":"b"}},` +
			`"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`,
	} {
		if code, _, out := s.Do(t, http.MethodPost, path, body); code != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, code, out)
		}
	}
	return s
}

// answersWell sends a request and judges the answer.
func answersWell(t *testing.T, s *apitest.Server, text string) {
	t.Helper()
	r := requestOf(text)
	if r == nil {
		return
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	code, body := w.Code, w.Body.Bytes()
	isJSON := strings.HasPrefix(w.Header().Get("Content-Type"), "application/json")
	if isJSON && len(body) > 0 && !json.Valid(body) {
		t.Errorf("%d with what is no JSON: %.300q", code, body)
	}
	if code < http.StatusInternalServerError {
		return
	}
	var status metav1.Status
	if err := json.Unmarshal(body, &status); err != nil || !upstreamsOwn(r.Header.Get("Content-Type"), status) {
		t.Errorf("%d %.600s", code, body)
	}
}

// upstreamsOwn tells of failures that are the client's fault, and that upstream
// answers as the server's all the same, without a reason; clients know them so.
func upstreamsOwn(media string, s metav1.Status) bool {
	if s.Reason == metav1.StatusReasonTimeout {
		return strings.Contains(s.Message, "Too large resource version")
	}
	if s.Reason != "" {
		return false
	}
	return strings.Contains(s.Message, "resourceVersion") || strings.Contains(s.Message, "strconv.ParseUint") ||
		media == string(types.StrategicMergePatchType) || // what the type has no words for
		strings.HasPrefix(s.Message, "failed to create typed patch object") // what does not fit the schema
}

// requestOf makes a request of a text; nil where it is none that a server
// would be asked at all, or one that is answered without an end.
func requestOf(text string) *http.Request {
	line, rest, _ := strings.Cut(text, "\n")
	media, body, _ := strings.Cut(rest, "\n")
	method, target, _ := strings.Cut(line, " ")
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || strings.Contains(target, "watch") || strings.Contains(target, "resourceVersion=9") {
		return nil
	}
	if method != http.MethodGet && u.Query().Get("dryRun") != "All" {
		return nil // nothing is to be changed, so that inputs stay comparable
	}
	r := httptest.NewRequestWithContext(context.Background(), method, "/", strings.NewReader(body))
	r.URL, r.RequestURI = u, target
	r.Header.Set("Authorization", "Bearer "+apitest.Token)
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	return r
}

func FuzzRequest(f *testing.F) {
	for _, text := range asks {
		f.Add(text)
	}
	s := seeded(f)
	f.Fuzz(func(t *testing.T, text string) { answersWell(t, s, text) })
}

func TestDamagedRequestsAreAnswered(t *testing.T) {
	s := seeded(t)
	for _, text := range asks {
		answersWell(t, s, text)
	}
	mutate.Each(t, 6000, asks, func(t *testing.T, text string) { answersWell(t, s, text) })
}
