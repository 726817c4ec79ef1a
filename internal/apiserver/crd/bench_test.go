package crd_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const boatPath = "/apis/example.com/v1/namespaces/default/boats"

// fleet is a server of boats, each of about 2 KiB.
type fleet struct{ *apitest.Server }

func newFleet(b *testing.B) fleet {
	b.Helper()
	f := fleet{apitest.Start(b, nil)}
	f.ServeCustom(b)
	f.must(b, http.MethodPost, definitions, "application/json", `{"metadata":{"name":"boats.example.com"},"spec":{"group":"example.com","scope":"Namespaced",
"names":{"plural":"boats","kind":"Boat"},"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},"schema":{"openAPIV3Schema":{"type":"object","properties":{
"spec":{"type":"object","x-kubernetes-validations":[{"rule":"self.size >= 0"},{"rule":"!has(self.crew) || self.crew.all(c, c.age >= 16)"}],"properties":{
"size":{"type":"integer","default":1},"log":{"type":"string","maxLength":4096},"cargo":{"type":"object","additionalProperties":{"type":"string"}},
"crew":{"type":"array","maxItems":50,"items":{"type":"object","properties":{"name":{"type":"string","maxLength":100},"age":{"type":"integer"},"ashore":{"type":"boolean","default":false}}}}}},
"status":{"type":"object","properties":{"afloat":{"type":"boolean"}}}}}}}]}}`)
	await.Until(b, patience, "boats are served", func() bool {
		code, _, _ := f.Do(b, http.MethodGet, boatPath, "")
		return code == http.StatusOK
	})
	return f
}

// must carries out a request that has to succeed.
func (f fleet) must(b *testing.B, method, path, media, body string) {
	req := httptest.NewRequestWithContext(b.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+apitest.Token)
	req.Header.Set("Content-Type", media)
	answer := httptest.NewRecorder()
	f.Handler().ServeHTTP(answer, req)
	if answer.Code >= http.StatusBadRequest {
		b.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
}

func benchBoat(name string, size int) string {
	var crew []string
	for i := range 12 {
		crew = append(crew, fmt.Sprintf(`{"name":"sailor-%d","age":%d,"ashore":%v}`, i, 20+i, i%3 == 0))
	}
	return fmt.Sprintf(`{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":%q},"spec":{"size":%d,"log":%q,"cargo":{"salt":"10","wool":"20"},"crew":[%s]}}`,
		name, size, strings.Repeat("knots ", 170), strings.Join(crew, ","))
}

// BenchmarkWrites is what writes of a custom resource cost.
func BenchmarkWrites(b *testing.B) {
	f := newFleet(b)
	f.must(b, http.MethodPost, boatPath, "application/json", benchBoat("a", 1))
	n := 0
	for name, write := range map[string]func(){
		"create": func() { f.must(b, http.MethodPost, boatPath, "application/json", benchBoat(fmt.Sprint("b", n), n)) },
		"merge":  func() { f.must(b, http.MethodPatch, boatPath+"/a", merge, fmt.Sprintf(`{"spec":{"size":%d}}`, n)) },
		"apply": func() {
			f.must(b, http.MethodPatch, boatPath+"/a?fieldManager=bench&force=true", "application/apply-patch+yaml", benchBoat("a", n))
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n++
				write()
			}
		})
	}
}

// BenchmarkHeld is what the memory of a stored custom resource is.
func BenchmarkHeld(b *testing.B) {
	f := newFleet(b)
	held := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const stored = 2000
	for b.Loop() {
		before := held()
		for i := range stored {
			f.must(b, http.MethodPost, boatPath, "application/json", benchBoat(fmt.Sprint("held-", b.N, "-", i, "-", before), i))
		}
		b.ReportMetric(float64(held()-before)/stored, "B/object")
	}
}
