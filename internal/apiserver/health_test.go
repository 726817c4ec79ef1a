package apiserver_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

func TestHealthIsToldByName(t *testing.T) {
	s := apitest.Start(t, func(c *apiserver.Config) {
		fine := func(*http.Request) error { return nil }
		c.Checks = []apiserver.Check{
			{Name: "etcd", Live: true, Run: fine},
			{Name: "informer-sync", Ready: true, Run: func(*http.Request) error { return errors.New("secret detail") }},
		}
	})
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/livez":                                    {http.StatusOK, "ok"},
		"/livez?verbose":                            {http.StatusOK, "[+]ping ok\n[+]etcd ok\nlivez check passed\n"},
		"/livez/etcd":                               {http.StatusOK, "ok"},
		"/livez/informer-sync":                      {http.StatusNotFound, "404 page not found\n"},
		"/healthz?verbose&exclude=etcd":             {http.StatusOK, "[+]ping ok\n[+]etcd excluded: ok\nhealthz check passed\n"},
		"/readyz":                                   {http.StatusInternalServerError, "[+]ping ok\n[+]etcd ok\n[-]informer-sync failed: reason withheld\n[+]shutdown ok\nreadyz check failed\n"},
		"/readyz/informer-sync":                     {http.StatusInternalServerError, "[-]informer-sync failed: reason withheld\nreadyz check failed\n"},
		"/readyz?exclude=informer-sync":             {http.StatusOK, "ok"},
		"/readyz/shutdown?verbose":                  {http.StatusOK, "[+]shutdown ok\nreadyz check passed\n"},
		"/debug/pprof/cmdline":                      {http.StatusOK, ""},
		"/debug/pprof/goroutine?debug=1&seconds=no": {http.StatusBadRequest, ""},
	} {
		code, _, body := s.Do(t, http.MethodGet, path, "")
		if code != want.code || want.text != "" && string(body) != want.text {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	if code, _, _ := s.Do(t, http.MethodGet, "/debug/pprof/", "", "Authorization", "Bearer jane"); code != http.StatusForbidden {
		t.Errorf("anybody may profile: %d", code)
	}
}

func TestMetricsHaveUpstreamsNames(t *testing.T) {
	s := apitest.Start(t, nil)
	s.Do(t, http.MethodPost, configMaps, `{"metadata":{"name":"a"}}`)
	s.Do(t, http.MethodPatch, configMaps+"/b?fieldManager=m", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`, "Content-Type", "application/apply-patch+yaml")
	s.Do(t, http.MethodGet, "/api/v1/namespaces/default/madeup", "")
	watch := s.Open(t, http.MethodGet, configMaps+"?watch=true", "")
	defer watch.Body.Close()
	if _, err := watch.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_, _, body := s.Do(t, http.MethodGet, "/metrics", "")
	text := string(body)
	of := `component="apiserver",dry_run="",group="",resource="configmaps",scope="`
	for _, want := range []string{
		`apiserver_request_total{code="201",` + of + `namespace",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="201",` + of + `resource",subresource="",verb="APPLY",version="v1"} 1`,
		`apiserver_request_duration_seconds_bucket{` + of + `namespace",subresource="",verb="POST",version="v1",le="5"}`,
		`apiserver_request_sli_duration_seconds_bucket{component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="POST",version="v1",le="30"}`,
		`apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="WATCH",version="v1"} 1`,
		`apiserver_current_inflight_requests{request_kind="readOnly"} 1`,
		`apiserver_resource_objects{group="",resource="configmaps"} 2`,
		`apiserver_storage_objects{resource="configmaps"} 2`,
		`apiserver_watch_cache_resource_version{group="apps",resource="deployments"}`,
		`kubernetes_build_info{`, `process_resident_memory_bytes`, `go_goroutines`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "madeup") {
		t.Error("a stranger's word became a series")
	}
}

func TestServiceLevelIndicators(t *testing.T) {
	s := apitest.Start(t, func(c *apiserver.Config) {
		c.Checks = []apiserver.Check{
			{Name: "etcd", Live: true, Run: func(*http.Request) error { return nil }},
			{Name: "late", Ready: true, Run: func(*http.Request) error { return errors.New("not yet") }},
		}
	})
	for range 2 {
		s.Do(t, http.MethodGet, "/readyz", "")
	}
	_, _, body := s.Do(t, http.MethodGet, "/metrics/slis", "")
	for _, line := range []string{
		`kubernetes_healthcheck{name="etcd",type="readyz"} 1`, `kubernetes_healthcheck{name="late",type="readyz"} 0`,
		`kubernetes_healthchecks_total{name="late",status="error",type="readyz"} 2`,
	} {
		if !strings.Contains(string(body), line+"\n") {
			t.Errorf("no %s in\n%s", line, body)
		}
	}
}
