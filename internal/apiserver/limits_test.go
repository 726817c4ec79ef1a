package apiserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func TestWhatIsTooLong(t *testing.T) {
	s := apitest.Start(t, nil)
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	bigTemplate := `{"metadata":{"name":"a"},"template":{"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"E","value":"` +
		strings.Repeat("x", limits.Object) + `"}]}]}}}`
	for name, tt := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
	}{
		"accept":         {http.MethodGet, configMaps, "", []string{"Accept", "application/json," + strings.Repeat("a", limits.Accept)}, http.StatusNotAcceptable},
		"body":           {http.MethodPost, configMaps, strings.Repeat("x", limits.Body+1), nil, http.StatusRequestEntityTooLarge},
		"object":         {http.MethodPost, "/api/v1/namespaces/default/podtemplates", bigTemplate, nil, http.StatusRequestEntityTooLarge},
		"depth":          {http.MethodPost, configMaps, `{"a":` + deep(limits.Depth) + `}`, nil, http.StatusBadRequest},
		"depth in yaml":  {http.MethodPost, configMaps, "a: " + deep(limits.Depth+1), []string{"Content-Type", "application/yaml"}, http.StatusBadRequest},
		"continue token": {http.MethodGet, configMaps + "?continue=" + strings.Repeat("a", limits.ContinueToken+1), "", nil, http.StatusBadRequest},
		"manager":        {http.MethodPost, configMaps + "?fieldManager=" + strings.Repeat("a", limits.ManagerName+1), "{}", nil, http.StatusUnprocessableEntity},
	} {
		if code, _, body := s.Do(t, tt.method, tt.path, tt.body, tt.headers...); code != tt.code {
			t.Errorf("%s: got %d %.300s", name, code, body)
		}
	}
	if _, header, _ := s.Do(t, http.MethodGet, configMaps, "", "Audit-Id", strings.Repeat("a", limits.AuditID+9)); len(header.Get("Audit-Id")) != limits.AuditID {
		t.Errorf("audit id: %d bytes", len(header.Get("Audit-Id")))
	}
}

func TestURLsAndHeadersAreBounded(t *testing.T) {
	s := apitest.Start(t, nil)
	long := strings.Repeat("a", limits.Headers+4<<10)
	for name, ask := range map[string]string{
		"url":    "GET /version?" + long + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"header": "GET /version HTTP/1.1\r\nHost: x\r\nX-Long: " + long + "\r\n\r\n",
	} {
		resp, err := http.ReadResponse(bufio.NewReader(raw(t, s, ask)), nil)
		if err == nil && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

// Bodies of aliases grow when they are expanded: they are refused, not
// expanded.
func TestAliasesAreNotExpandedWithoutEnd(t *testing.T) {
	s := apitest.Start(t, nil)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	if code, _, body := s.Do(t, http.MethodPost, configMaps, bomb, "Content-Type", "application/yaml"); code != http.StatusBadRequest {
		t.Errorf("as an object: %d %.300s", code, body)
	}
	if code, _, body := s.Do(t, http.MethodPatch, configMaps+"/a?fieldManager=m", bomb, "Content-Type", "application/apply-patch+yaml"); code != http.StatusBadRequest {
		t.Errorf("as an applied configuration: %d %.300s", code, body)
	}
}

func TestOneWatchTooMany(t *testing.T) {
	s := apitest.Start(t, func(c *apiserver.Config) { c.MaxWatches = 1 })
	first := s.Open(t, http.MethodGet, configMaps+"?watch=true", "")
	defer first.Body.Close()
	if code, header, body := s.Do(t, http.MethodGet, configMaps+"?watch=true", ""); code != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("got %d %v %s", code, header, body)
	}
}

// raw sends bytes on a connection of its own.
func raw(t *testing.T, s *apitest.Server, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, text) // the answer tells, or its absence
	return conn
}

func TestASlowBodyIsNotWaitedFor(t *testing.T) {
	s := apitest.Start(t, func(c *apiserver.Config) { c.RequestTimeout = time.Second })
	conn := raw(t, s, "POST "+configMaps+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+apitest.Token+"\r\nContent-Length: 1000\r\n\r\n{")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Fatalf("%v, %v", resp, err)
	}
}

func TestASlowReaderLosesItsPlace(t *testing.T) {
	const patience = time.Second
	s := apitest.Start(t, func(c *apiserver.Config) {
		c.RequestTimeout, c.MaxReads, c.MaxWrites, c.Authorizer = patience, 1, 1, everybody{}
	})
	for i := range 14 { // more than sockets take on their own
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i), Namespace: "default"}, Data: map[string]string{"k": strings.Repeat("x", 1<<20)}}
		if _, err := s.Cache.Of(s.Catalog.TypeOf(cm)).Create(t.Context(), cm); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(with int) bool {
		code, _, _ := s.Do(t, http.MethodGet, "/version", "", "Authorization", "Bearer jane")
		return code == with
	}
	// The slow ones take all places, and give them back in time: on a busy
	// machine even before anybody has looked.
	var asked time.Time
	await.Until(t, time.Minute, "all places are taken", func() bool {
		if time.Since(asked) > patience {
			asked = time.Now()
			for range seatsOfTwo {
				raw(t, s, "GET "+configMaps+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer jane\r\n\r\n")
			}
		}
		return answered(http.StatusTooManyRequests)
	})
	await.Until(t, time.Minute, "a place is free again", func() bool { return answered(http.StatusOK) })
}
