package images

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// maxSources bounds the Secrets that a record names.
const maxSources = 100

// Credential is what an image may be pulled with, and where it comes from.
type Credential struct {
	Auth   *runtimeapi.AuthConfig
	Source Source
}

// Source is the Secret that a credential was read from; its hash tells one
// content from another.
type Source struct {
	UID       types.UID `json:"uid"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Hash      string    `json:"hash"`
}

// pullRecord is how an image came to the node, by the names it was pulled by.
type pullRecord struct {
	Image string          `json:"image"`
	Names map[string]pull `json:"names"`
}

// pull is who has proved to have access: anyone, or who has one of the
// credentials.
type pull struct {
	Anyone  bool     `json:"anyone,omitempty"`
	Sources []Source `json:"sources,omitempty"`
}

// by tells whether the credential, or one of the same content, was used.
func (p pull) by(c Credential) bool {
	return slices.ContainsFunc(p.Sources, func(s Source) bool {
		return s.UID == c.Source.UID && s.Namespace == c.Source.Namespace && s.Name == c.Source.Name || s.Hash == c.Source.Hash
	})
}

// records keeps pullRecords in a folder, a file for each image. They hold no
// credential, and only root reads them. Safe for concurrent use.
type records struct {
	dir string
	mu  sync.Mutex
}

func (r *records) path(image string) string {
	sum := sha256.Sum256([]byte(image))
	return filepath.Join(r.dir, hex.EncodeToString(sum[:]))
}

// get is the image's record; nil where there is none.
func (r *records) get(image string) (*pullRecord, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.getLocked(image)
}

func (r *records) getLocked(image string) (*pullRecord, error) {
	data, err := os.ReadFile(r.path(image))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("record of image %s: %w", image, err)
	}
	record := &pullRecord{}
	if err := json.Unmarshal(data, record); err != nil || record.Image != image {
		// One that cannot be read proves nothing: everybody has to pull.
		return &pullRecord{Image: image}, nil
	}
	return record, nil
}

// add notes that the image was pulled by a name, with a credential or (nil)
// without.
func (r *records) add(image, name string, with *Credential) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	record, err := r.getLocked(image)
	if err != nil {
		return err
	}
	if record == nil {
		record = &pullRecord{Image: image}
	}
	if record.Names == nil {
		record.Names = map[string]pull{}
	}
	p := record.Names[name]
	switch {
	case p.Anyone || with != nil && p.by(*with):
		return nil // noted before
	case with == nil:
		p = pull{Anyone: true}
	default:
		p.Sources = append(p.Sources, with.Source)
		p.Sources = p.Sources[max(len(p.Sources)-maxSources, 0):]
	}
	record.Names[name] = p
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	fresh := r.path(image) + ".new"
	if err := os.WriteFile(fresh, data, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, r.path(image))
}

// drop forgets an image that was removed.
func (r *records) drop(image string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.Remove(r.path(image)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// hash tells credentials apart without telling them.
func hash(a *runtimeapi.AuthConfig) string {
	h := sha256.New()
	for _, part := range []string{a.GetUsername(), a.GetPassword(), a.GetServerAddress(), a.GetIdentityToken(), a.GetRegistryToken(), a.GetAuth()} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
