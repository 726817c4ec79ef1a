package audit_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/audit"
	"github.com/knarr-io/knarr/internal/kubeconfig/kubeconfigtest"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"

const configMaps = "/api/v1/namespaces/default/configmaps"

// log is an audit log in a file, with a server that writes it.
type log struct {
	t      *testing.T
	policy string
	file   string
	audit  *audit.Log
	*apitest.Server
}

func start(t *testing.T, policy string, change func(*audit.Options)) *log {
	t.Helper()
	dir := t.TempDir()
	l := &log{t: t, policy: filepath.Join(dir, "policy.yaml"), file: filepath.Join(dir, "log", "audit.log")}
	l.write(policy)
	o := audit.Options{PolicyFile: l.policy, File: audit.FileOptions{Path: l.file}}
	if change != nil {
		change(&o)
	}
	var err error
	if l.audit, err = audit.Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.audit.Close)
	l.Server = apitest.Start(t, func(c *apiserver.Config) { c.Audit = l.audit })
	return l
}

func (l *log) write(policy string) {
	l.t.Helper()
	if err := os.WriteFile(l.policy, []byte(policy), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// events are all that were written.
func (l *log) events() []auditv1.Event {
	l.t.Helper()
	f, err := os.Open(l.file)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	var out []auditv1.Event
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var e auditv1.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			l.t.Fatalf("%v in %s", err, lines.Text())
		}
		out = append(out, e)
	}
	return out
}

// waitFor returns the events when there are so many; the last stage of a
// request is written after its answer.
func (l *log) waitFor(n int) []auditv1.Event {
	l.t.Helper()
	var all []auditv1.Event
	await.Until(l.t, time.Minute, fmt.Sprint(n, " events"), func() bool { all = l.events(); return len(all) >= n })
	if len(all) != n {
		l.t.Fatalf("%d events, want %d: %+v", len(all), n, all)
	}
	return all
}

func short(all []auditv1.Event) []string {
	var out []string
	for _, e := range all {
		code := int32(0)
		if e.ResponseStatus != nil {
			code = e.ResponseStatus.Code
		}
		out = append(out, fmt.Sprintf("%s %s %s %s %d %s", e.Level, e.Stage, e.User.Username, e.Verb, code, e.RequestURI))
	}
	return out
}

func TestStagesAndLevels(t *testing.T) {
	l := start(t, head+`
rules:
- {level: None, users: [quiet]}
- {level: RequestResponse, verbs: [create], resources: [{group: "", resources: [configmaps]}]}
- {level: Request, verbs: [patch], omitStages: [RequestReceived]}
- {level: Metadata, nonResourceURLs: [/version], omitStages: [RequestReceived]}
- {level: None, nonResourceURLs: ['*']}
- {level: Metadata, omitStages: [RequestReceived]}
`, nil)
	l.Do(t, http.MethodGet, configMaps, "", "Authorization", "Bearer quiet,system:masters")
	l.Do(t, http.MethodPost, configMaps, `{"metadata":{"name":"a"},"data":{"k":"v"}}`, "Audit-ID", "chosen")
	l.Do(t, http.MethodPatch, configMaps+"/a", `{"data":{"k":"w"}}`, "Content-Type", "application/merge-patch+json")
	l.Do(t, http.MethodGet, configMaps+"/b?pretty=0", "")
	l.Do(t, http.MethodDelete, configMaps+"/a", "", "Authorization", "Bearer jane")
	l.Do(t, http.MethodGet, "/version", "")
	all := l.waitFor(6)
	want := []string{
		"RequestResponse RequestReceived admin create 0 " + configMaps,
		"RequestResponse ResponseComplete admin create 201 " + configMaps,
		"Request ResponseComplete admin patch 200 " + configMaps + "/a",
		"Metadata ResponseComplete admin get 404 " + configMaps + "/b?pretty=0",
		"Metadata ResponseComplete jane delete 403 " + configMaps + "/a",
		"Metadata ResponseComplete admin get 200 /version",
	}
	if diff := cmp.Diff(want, short(all)); diff != "" {
		t.Error(diff)
	}
	created := all[1]
	if created.AuditID != "chosen" || created.ObjectRef.Name != "a" || created.ObjectRef.Resource != "configmaps" || len(created.SourceIPs) != 1 || created.UserAgent == "" {
		t.Errorf("the create is %+v", created)
	}
	if !strings.Contains(string(created.RequestObject.Raw), `"k":"v"`) || !strings.Contains(string(created.ResponseObject.Raw), `"managedFields"`) {
		t.Errorf("bodies: %s, %s", created.RequestObject.Raw, created.ResponseObject.Raw)
	}
	if got := string(all[2].RequestObject.Raw); got != `{"data":{"k":"w"}}` || all[2].ResponseObject != nil {
		t.Errorf("the patch has %s and an answer %v", got, all[2].ResponseObject)
	}
	if got := all[3].ResponseStatus; got.Reason != "NotFound" || got.Status != "Failure" {
		t.Errorf("status of the answer: %+v", got)
	}
	if got := all[4].Annotations["authorization.k8s.io/decision"]; got != "forbid" {
		t.Errorf("annotations %v", all[4].Annotations)
	}
	if got := all[1].Annotations["authorization.k8s.io/decision"]; got != "allow" {
		t.Errorf("annotations %v", all[1].Annotations)
	}
}

func TestManagedFieldsAreOmitted(t *testing.T) {
	l := start(t, head+"omitManagedFields: true\nomitStages: [RequestReceived]\nrules: [{level: RequestResponse}]\n", nil)
	l.Do(t, http.MethodPost, configMaps, `{"metadata":{"name":"a"},"data":{"k":"9007199254740993"}}`)
	l.Do(t, http.MethodGet, configMaps, "")
	for _, e := range l.waitFor(2) {
		if raw := string(e.ResponseObject.Raw); strings.Contains(raw, "managedFields") || !strings.Contains(raw, "9007199254740993") {
			t.Error(raw)
		}
	}
}

func TestWatchHasThreeStages(t *testing.T) {
	l := start(t, head+"rules: [{level: Metadata, verbs: [watch]}]\n", nil)
	resp := l.Open(t, http.MethodGet, configMaps+"?watch=true&timeoutSeconds=1", "")
	all := l.waitFor(3) // the answer has begun, and ends by itself
	_ = resp.Body.Close()
	want := []string{"RequestReceived", "ResponseStarted", "ResponseComplete"}
	for i, e := range all {
		if string(e.Stage) != want[i] || e.AuditID != all[0].AuditID {
			t.Errorf("stage %d is %s", i, e.Stage)
		}
	}
}

func TestRequestsOfTheProcessAreWritten(t *testing.T) {
	l := start(t, head+"omitStages: [RequestReceived]\nrules: [{level: RequestResponse, users: [inside]}]\n", nil)
	inside := l.Transport(&user.DefaultInfo{Name: "inside", Groups: []string{user.SystemPrivilegedGroup}})
	kind := l.Catalog.Resource(gvr("configmaps"))
	if _, err := inside.Do(t.Context(), &request.Request{Verb: request.Create, Kind: kind, Namespace: "default", Object: configMap("a")}); err != nil {
		t.Fatal(err)
	}
	if _, err := inside.Do(t.Context(), &request.Request{Verb: request.Get, Kind: kind, Namespace: "default", Name: "none"}); err == nil {
		t.Fatal("found")
	}
	w, err := inside.Watch(t.Context(), &request.Request{Kind: kind, Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	want := []string{
		"RequestResponse ResponseComplete inside create 201 " + configMaps,
		"RequestResponse ResponseComplete inside get 404 " + configMaps + "/none",
		"RequestResponse ResponseStarted inside watch 200 " + configMaps,
		"RequestResponse ResponseComplete inside watch 200 " + configMaps,
	}
	all := l.waitFor(4)
	if diff := cmp.Diff(want, short(all)); diff != "" {
		t.Error(diff)
	}
	if all[0].ObjectRef.Name != "a" || !strings.Contains(string(all[0].ResponseObject.Raw), `"uid"`) {
		t.Errorf("the create is %+v", all[0])
	}
}

func TestPolicyIsFollowed(t *testing.T) {
	l := start(t, head+"omitStages: [RequestReceived]\nrules: [{level: None}]\n", nil)
	go func() { _ = l.audit.Run(t.Context()) }()
	l.write("not a policy")
	l.write(head + "omitStages: [RequestReceived]\nrules: [{level: Metadata}]\n")
	await.Until(t, time.Minute, "the new policy is in use", func() bool {
		l.Do(t, http.MethodGet, "/version", "")
		return len(l.events()) > 0
	})
}

func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.yaml")
	for name, text := range map[string]string{
		"no rules": head, "unknown level": head + "rules: [{level: Loud}]\n", "empty": "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Open(audit.Options{PolicyFile: path}); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	if err := os.WriteFile(path, []byte(head+"rules: [{level: Metadata}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(audit.Options{PolicyFile: path, File: audit.FileOptions{Path: filepath.Join(path, "below", "a", "file")}}); err == nil {
		t.Error("a log below a file was opened")
	}
}

func TestFilesAreRotated(t *testing.T) {
	l := start(t, head+"omitStages: [RequestReceived]\nrules: [{level: RequestResponse}]\n", func(o *audit.Options) { o.File.MaxSize, o.File.MaxBackups = 1, 1 })
	body := fmt.Sprintf(`{"metadata":{"generateName":"a-"},"data":{"k":%q}}`, strings.Repeat("x", 300<<10))
	for range 6 {
		if code, _, answer := l.Do(t, http.MethodPost, configMaps, body); code != http.StatusCreated {
			t.Fatal(code, string(answer))
		}
	}
	await.Success(t, time.Minute, "the log and one that was put aside", func() error {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(l.file), "*"))
		if err == nil && len(files) != 2 {
			err = fmt.Errorf("there are %v", files)
		}
		return err
	})
	if info, err := os.Stat(l.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// collector is a webhook that fails at first.
type collector struct {
	mu     sync.Mutex
	calls  int
	events []auditv1.Event
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.calls == 1 {
		http.Error(w, "not yet", http.StatusInternalServerError)
		return
	}
	var list auditv1.EventList
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.events = append(c.events, list.Items...)
}

func (c *collector) have() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.events)
}

func TestWebhook(t *testing.T) {
	c := &collector{}
	hook := httptest.NewTLSServer(c)
	defer hook.Close()
	l := start(t, head+"rules: [{level: Metadata}]\n", func(o *audit.Options) {
		o.Webhook = audit.WebhookOptions{ConfigFile: kubeconfigtest.File(t, hook), MaxWait: 5 * time.Millisecond, InitialBackoff: time.Millisecond}
	})
	for range 10 {
		l.Do(t, http.MethodGet, configMaps, "")
	}
	await.Until(t, time.Minute, "20 events come", func() bool { return c.have() >= 20 })
	l.waitFor(20) // the file has them too
}
