// Package admin serves what CRI has no word for: images by hand. It is HTTP on
// a Unix socket for root.
//
//	POST   /v1/images/import[?name=n]   body: an archive   -> [{"names":[...],"id":...}]
//	POST   /v1/images/pull              {"name":...,"auth":{...}} -> {"names":[...],"id":...}
//	GET    /v1/images                   -> [{...}]
//	GET    /v1/images/export?name=n...  -> an archive
//	DELETE /v1/images?name=n
//
// Errors are {"error":"..."} with status 400, 401, 404, 503 or 500.
package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image"
	"github.com/knarr-io/knarr/runtime/image/registry"
)

// Image is an image in an answer.
type Image struct {
	ID      string   `json:"id"`
	Names   []string `json:"names"`
	Digests []string `json:"digests,omitempty"`
	Size    int64    `json:"size"`
}

// pullRequest asks for an image from its registry.
type pullRequest struct {
	Name string `json:"name"`
	Auth struct {
		Username      string `json:"username,omitempty"`
		Password      string `json:"password,omitempty"`
		Auth          string `json:"auth,omitempty"`
		IdentityToken string `json:"identityToken,omitempty"`
		RegistryToken string `json:"registryToken,omitempty"`
	} `json:"auth"`
}

const maxRequest = 1 << 20

// Handler returns the API over images.
func Handler(images *image.Store, log *slog.Logger) http.Handler {
	a := &api{images: images, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/images/import", a.importArchive)
	mux.HandleFunc("POST /v1/images/pull", a.pull)
	mux.HandleFunc("GET /v1/images", a.list)
	mux.HandleFunc("GET /v1/images/export", a.export)
	mux.HandleFunc("DELETE /v1/images", a.remove)
	return mux
}

type api struct {
	images *image.Store
	log    *slog.Logger
}

func describe(img *image.Image) Image {
	return Image{ID: img.ID, Names: append([]string{}, img.Tags...), Digests: img.Digests, Size: img.Size}
}

func (a *api) importArchive(w http.ResponseWriter, r *http.Request) {
	images, err := a.images.Import(r.Context(), r.Body, r.URL.Query().Get("name"))
	if err != nil {
		a.fail(w, err)
		return
	}
	out := []Image{}
	for _, img := range images {
		out = append(out, describe(img))
	}
	a.answer(w, out)
}

func (a *api) pull(w http.ResponseWriter, r *http.Request) {
	var req pullRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&req); err != nil {
		a.fail(w, fault.New(fault.Invalid, "request: %w", err))
		return
	}
	img, err := a.images.Pull(r.Context(), req.Name, registry.Auth{Username: req.Auth.Username, Password: req.Auth.Password,
		Auth: req.Auth.Auth, IdentityToken: req.Auth.IdentityToken, RegistryToken: req.Auth.RegistryToken})
	if err != nil {
		a.fail(w, err)
		return
	}
	a.answer(w, describe(img))
}

func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	out := []Image{}
	for _, img := range a.images.List() {
		out = append(out, describe(img))
	}
	a.answer(w, out)
}

func (a *api) export(w http.ResponseWriter, r *http.Request) {
	names := r.URL.Query()["name"]
	if len(names) == 0 {
		a.fail(w, fault.New(fault.Invalid, "name is missing"))
		return
	}
	for _, n := range names {
		if _, err := a.images.Get(n); err != nil {
			a.fail(w, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/x-tar")
	if err := a.images.Export(w, names); err != nil {
		a.log.Warn("an export broke off", "error", err)
		panic(http.ErrAbortHandler) // the client must not take it for whole
	}
}

func (a *api) remove(w http.ResponseWriter, r *http.Request) {
	if err := a.images.Untag(r.URL.Query().Get("name")); err != nil {
		a.fail(w, err)
		return
	}
	a.answer(w, struct{}{})
}

func (a *api) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.log.Debug("client went away", "error", err)
	}
}

func (a *api) fail(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code(fault.Of(err)))
	a.answer(w, map[string]string{"error": err.Error()})
}

func code(kind fault.Kind) int {
	switch kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
