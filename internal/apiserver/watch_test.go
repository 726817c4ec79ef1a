package apiserver_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

const configMaps = "/api/v1/namespaces/default/configmaps"

type wireEvent struct {
	Type   string
	Object struct {
		Kind     string
		Message  string
		Code     int
		Metadata metav1.ObjectMeta
	}
}

func (e wireEvent) String() string { return e.Type + " " + e.Object.Metadata.Name }

// events reads n events of a JSON watch, or all up to its end for n < 0.
func events(t *testing.T, body io.Reader, n int) []wireEvent {
	t.Helper()
	var out []wireEvent
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for n != 0 && lines.Scan() {
		var ev wireEvent
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		out = append(out, ev)
		n--
	}
	if n > 0 {
		t.Fatalf("the watch ended after %v", out)
	}
	return out
}

func want(t *testing.T, got []wireEvent, texts ...string) {
	t.Helper()
	var have []string
	for _, ev := range got {
		have = append(have, ev.String())
	}
	if fmt.Sprint(have) != fmt.Sprint(texts) {
		t.Fatalf("got %v, want %v", have, texts)
	}
}

func create(t *testing.T, s *apitest.Server, name, labels string) {
	t.Helper()
	code, _, body := s.Do(t, http.MethodPost, configMaps, fmt.Sprintf(`{"metadata":{"name":%q,"labels":{%s}}}`, name, labels))
	if code != http.StatusCreated {
		t.Fatalf("creating %s: %s", name, body)
	}
}

func merge(t *testing.T, s *apitest.Server, name, patch string) {
	t.Helper()
	code, _, body := s.Do(t, http.MethodPatch, configMaps+"/"+name, patch, "Content-Type", "application/merge-patch+json")
	if code != http.StatusOK {
		t.Fatalf("patching %s: %s", name, body)
	}
}

func TestSelectorsTurnChangesIntoComingAndGoing(t *testing.T) {
	s := apitest.Start(t, nil)
	resp := s.Open(t, http.MethodGet, configMaps+"?watch=1&labelSelector=in%3Dyes&allowWatchBookmarks=true", "")
	defer resp.Body.Close()
	create(t, s, "other", "")
	create(t, s, "a", `"in":"yes"`)
	merge(t, s, "a", `{"data":{"k":"v"}}`)
	merge(t, s, "a", `{"metadata":{"labels":{"in":null}}}`)
	merge(t, s, "a", `{"metadata":{"labels":{"in":"yes"}}}`)
	s.Do(t, http.MethodDelete, configMaps+"/a", "")
	got := events(t, resp.Body, 6)
	want(t, got, "BOOKMARK ", "ADDED a", "MODIFIED a", "DELETED a", "ADDED a", "DELETED a")
	if got[0].Object.Metadata.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Fatal("the bookmark does not mark the end of the state")
	}
	if got[3].Object.Metadata.Labels["in"] != "yes" {
		t.Fatal("an object that left is not shown as it was last seen")
	}
}

func TestWatchBeginsWithTheState(t *testing.T) {
	s := apitest.Start(t, nil)
	for i := range 3 {
		create(t, s, fmt.Sprintf("c%d", i), "")
	}
	resp := s.Open(t, http.MethodGet, configMaps+"?watch=1", "")
	defer resp.Body.Close()
	want(t, events(t, resp.Body, 3), "ADDED c0", "ADDED c1", "ADDED c2")
}

func TestWatchEndsAtItsTime(t *testing.T) {
	s := apitest.Start(t, nil)
	resp := s.Open(t, http.MethodGet, configMaps+"?watch=1&timeoutSeconds=1&resourceVersion=1", "")
	defer resp.Body.Close()
	want(t, events(t, resp.Body, -1))
}

func TestWatchFromTheFutureIsRefused(t *testing.T) {
	s := apitest.Start(t, nil)
	code, _, body := s.Do(t, http.MethodGet, configMaps+"?resourceVersion=99999999&timeout=1s", "")
	if code != http.StatusGatewayTimeout {
		t.Fatalf("got %d %s", code, body)
	}
}

func TestProtobufWatchIsFramed(t *testing.T) {
	s := apitest.Start(t, nil)
	resp := s.Open(t, http.MethodGet, configMaps+"?watch=1", "", "Accept", "application/vnd.kubernetes.protobuf;stream=watch")
	defer resp.Body.Close()
	create(t, s, "a", "")
	var length [4]byte
	if _, err := io.ReadFull(resp.Body, length[:]); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(resp.Body, frame); err != nil {
		t.Fatal(err)
	}
	var ev metav1.WatchEvent
	var envelope runtime.Unknown
	var cm corev1.ConfigMap
	if err := ev.Unmarshal(frame); err != nil {
		t.Fatal(err)
	}
	if err := envelope.Unmarshal(ev.Object.Raw[4:]); err != nil {
		t.Fatal(err)
	}
	if err := cm.Unmarshal(envelope.Raw); err != nil || ev.Type != "ADDED" || cm.Name != "a" || envelope.Kind != "ConfigMap" {
		t.Fatalf("got %s of %s %q: %v", ev.Type, envelope.Kind, cm.Name, err)
	}
}

func TestWatchOverWebSocket(t *testing.T) {
	s := apitest.Start(t, nil)
	url := "ws" + strings.TrimPrefix(s.URL, "http") + configMaps + "?watch=1"
	conn, resp, err := websocket.DefaultDialer.Dial(url, http.Header{"Authorization": {"Bearer " + apitest.Token}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer conn.Close()
	create(t, s, "a", "")
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var ev wireEvent
	if err := conn.ReadJSON(&ev); err != nil || ev.String() != "ADDED a" {
		t.Fatalf("got %v: %v", ev, err)
	}
}

func TestTableWatchSendsItsColumnsOnce(t *testing.T) {
	s := apitest.Start(t, nil)
	create(t, s, "a", "")
	create(t, s, "b", "")
	resp := s.Open(t, http.MethodGet, configMaps+"?watch=1", "", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for i, columns := range []bool{true, false} {
		var ev struct{ Object metav1.Table }
		if err := dec.Decode(&ev); err != nil {
			t.Fatal(err)
		}
		if (len(ev.Object.ColumnDefinitions) > 0) != columns || len(ev.Object.Rows) != 1 {
			t.Fatalf("event %d has %d columns and %d rows", i, len(ev.Object.ColumnDefinitions), len(ev.Object.Rows))
		}
	}
}

func TestStoppingEndsWatches(t *testing.T) {
	s := apitest.Start(t, nil)
	resp := s.Open(t, http.MethodGet, configMaps+"?watch=1", "")
	defer resp.Body.Close()
	s.Stop()
	want(t, events(t, resp.Body, -1))
	code, _, _ := s.Do(t, http.MethodGet, "/readyz", "")
	if code != http.StatusInternalServerError {
		t.Fatalf("a stopping server says that it is ready: %d", code)
	}
}
