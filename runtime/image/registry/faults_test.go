package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/platform"
)

// imageFor is an image of some platform.
func imageFor(t *testing.T, p v1.Platform) v1.Image {
	t.Helper()
	img, err := random.Image(500, 2)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = p.OS, p.Architecture
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// write pushes an image, or an index of images of these platforms.
func write(t *testing.T, host, tag string, index bool, platforms ...v1.Platform) {
	t.Helper()
	ref, err := ggcr.ParseReference(host + "/app:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if !index {
		err = remote.Write(ref, imageFor(t, platforms[0]))
	} else {
		idx := v1.ImageIndex(empty.Index)
		for _, p := range platforms {
			idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: imageFor(t, p), Descriptor: v1.Descriptor{Platform: &p}})
		}
		err = remote.WriteIndex(ref, idx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestPlatforms(t *testing.T) {
	host := serve(t, honest)
	other := v1.Platform{OS: "linux", Architecture: "s390x"}
	windows := v1.Platform{OS: "windows", Architecture: platform.Host().Architecture}
	write(t, host, "own", false, platform.Host())
	write(t, host, "other", false, other)
	write(t, host, "both", true, other, platform.Host())
	write(t, host, "others", true, other, windows)
	for tag, words := range map[string][]string{"own": nil, "both": nil, "other": {"linux/s390x", "linux/" + platform.Host().Architecture}, "others": {"linux/s390x", "windows/"}} {
		sink := &memory{blobs: map[string]int64{}}
		_, err := New(Config{}).Fetch(t.Context(), parse(t, host+"/app:"+tag), Auth{}, sink)
		if words == nil {
			if err != nil {
				t.Errorf("%s: %v", tag, err)
			}
			continue
		}
		if !fault.Is(err, fault.NotFound) || len(sink.blobs) != 0 {
			t.Errorf("%s: class %d, %d blobs, %v", tag, fault.Of(err), len(sink.blobs), err)
		}
		for _, w := range words {
			if err != nil && !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not name %s", tag, err, w)
			}
		}
	}
}

// A registry that answers and then sends no more is given up on, with its name.
func TestStalledRegistry(t *testing.T) {
	for _, tc := range []struct {
		where string
		half  bool
		words string
	}{{"/manifests/", false, "timeout"}, {"/blobs/", false, "timeout"}, {"/manifests/", true, "has sent nothing for 3s"}, {"/blobs/", true, "has sent nothing for 3s"}} {
		t.Run(fmt.Sprint(tc.where, tc.half), func(t *testing.T) {
			t.Parallel()
			where, half := tc.where, tc.half
			host := serve(t, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet && strings.Contains(r.URL.Path, where) {
						if half {
							_, _ = w.Write([]byte("{"))
							_ = http.NewResponseController(w).Flush()
						}
						<-r.Context().Done()
						return
					}
					h.ServeHTTP(w, r)
				})
			})
			push(t, host+"/app:1")
			_, err := New(Config{StallSeconds: 3}).Fetch(t.Context(), parse(t, host+"/app:1"), Auth{}, &memory{blobs: map[string]int64{}})
			if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), host) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("class %d, %v", fault.Of(err), err)
			}
		})
	}
}

// What is no registry's answer ends the pull, however it is worded.
func TestGarbage(t *testing.T) {
	for name, body := range map[string]string{
		"a page": "<html>welcome to the hotel</html>", "nothing": "", "half": `{"schemaVersion":2,"config":{`,
		"another type": `[1,2,3]`, "a bad digest": `{"schemaVersion":2,"config":{"digest":"sha256:../../etc"},"layers":[]}`,
		"no end": strings.Repeat("[", 100_000),
	} {
		host := serve(t, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				fmt.Fprint(w, body)
			})
		})
		sink := &memory{blobs: map[string]int64{}}
		_, err := New(Config{}).Fetch(t.Context(), parse(t, host+"/app:1"), Auth{}, sink)
		if err == nil || !strings.Contains(err.Error(), host) || len(sink.blobs) != 0 {
			t.Errorf("%s: %v, %d blobs", name, err, len(sink.blobs))
		}
	}
}
