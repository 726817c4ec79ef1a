package registry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/runtime/image/blobs"
)

// disk is a sink that keeps what arrives, and in which order it was told.
type disk struct {
	*blobs.Store
	mu   sync.Mutex
	told []string
}

func (d *disk) Has(digest string) bool {
	_, ok := d.Size(digest)
	return ok
}

func (d *disk) Put(r io.Reader, digest string, size int64) error {
	_, _, err := d.Store.Put(r, digest, size)
	return err
}

func (d *disk) Begin(string) { d.tell("begin") }

func (d *disk) Arrived(string) { d.tell("layer") }

func (d *disk) tell(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, what)
}

func openDisk(t *testing.T) *disk {
	t.Helper()
	s, err := blobs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &disk{Store: s}
}

// breaking is a registry whose connections break in the middle of every layer
// that is asked for as a whole; it notes how each was asked for.
func breaking(asked *sync.Map, knowsRanges bool) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/sha256:") {
				h.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			whole := r.Clone(r.Context())
			if !knowsRanges {
				whole.Header.Del("Range")
			}
			h.ServeHTTP(rec, whole)
			before, again := asked.LoadOrStore(r.URL.Path, r.Header.Get("Range"))
			if again {
				asked.Store(r.URL.Path, before.(string)+"|"+r.Header.Get("Range"))
			}
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			body := rec.Body.Bytes()
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(rec.Code)
			if !again && len(body) > 1500 { // a configuration is shorter
				body = body[:1000]
			}
			_, _ = w.Write(body)
		})
	}
}

func TestLayersGoOnWhereTheyBroke(t *testing.T) {
	for _, knowsRanges := range []bool{true, false} {
		var asked sync.Map
		host := serve(t, breaking(&asked, knowsRanges))
		push(t, host+"/app:1")
		sink := openDisk(t)
		if _, err := New(Config{}).Fetch(t.Context(), parse(t, host+"/app:1"), Auth{}, sink); err != nil {
			t.Fatalf("ranges %v: %v", knowsRanges, err)
		}
		broke := 0
		asked.Range(func(_, how any) bool {
			if strings.HasPrefix(how.(string), "|bytes=1000-") {
				broke++
			}
			return true
		})
		if broke != 5 {
			t.Errorf("ranges %v: %d of 5 layers were gone on with", knowsRanges, broke)
		}
		if d := cmp.Diff([]string{"begin", "layer", "layer", "layer", "layer", "layer"}, sink.told); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
}

// What an earlier pull has left is not fetched again, and does no harm if it is wrong.
func TestWhatAnEarlierPullLeft(t *testing.T) {
	var asked sync.Map
	host := serve(t, breaking(&asked, true))
	img := push(t, host+"/app:1")
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := layers[0].Size()
	if err != nil {
		t.Fatal(err)
	}
	sink := openDisk(t)
	wrong := func(int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(strings.NewReader(strings.Repeat("x", 10))), 0, nil
	}
	if err := sink.Resume(digest.String(), size, wrong); err == nil {
		t.Fatal("ten bytes are taken for a layer")
	}
	c := New(Config{})
	if _, err := c.Fetch(t.Context(), parse(t, host+"/app:1"), Auth{}, sink); err == nil {
		t.Error("a layer with a wrong beginning is taken")
	}
	if _, err := c.Fetch(t.Context(), parse(t, host+"/app:1"), Auth{}, sink); err != nil {
		t.Errorf("a wrong beginning stays: %v", err)
	}
}
