package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/singleflight"
	kubeletv1 "k8s.io/kubelet/config/v1"
	providerv1 "k8s.io/kubelet/pkg/apis/credentialprovider/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/base/filewatch"
)

const (
	// providerTime bounds a provider's run, as upstream.
	providerTime = time.Minute
	// maxAnswer and maxComplaint bound what a provider says, in bytes.
	maxAnswer, maxComplaint = 1 << 20, 1 << 10
)

// providers are programs of the node that know credentials of registries
// (KEP-2133). What a provider gives counts for every pod. They are safe for
// concurrent use; one program is asked for one image once at a time.
type providers struct {
	// config is a CredentialProviderConfig; there may be none. programs is the
	// folder of the programs that it names.
	config, programs string

	asking singleflight.Group

	mu    sync.Mutex
	cache map[string]cached // by provider and what the answer counts for
}

type cached struct {
	keyring *Keyring
	until   time.Time
}

// lookup asks the providers for an image. The credentials count even where the
// error tells of a provider that failed.
func (p *providers) lookup(ctx context.Context, image string, now time.Time) ([]Credential, error) {
	list, err := p.load()
	if err != nil {
		return nil, err
	}
	var out []Credential
	var errs []error
	for i := range list {
		keyring, err := p.ask(ctx, &list[i], image, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("credential provider %s: %w", list[i].Name, err))
			continue
		}
		out = append(out, keyring.Lookup(image)...)
	}
	return out, errors.Join(errs...)
}

// load reads the configuration, strictly.
func (p *providers) load() ([]kubeletv1.CredentialProvider, error) {
	data, err := filewatch.Read(p.config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("credential providers: %w", err)
	}
	text, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("credential providers: %s: %w", p.config, err)
	}
	var c kubeletv1.CredentialProviderConfig
	strict, err := kjson.UnmarshalStrict(text, &c)
	if err = errors.Join(append(strict, err)...); err != nil {
		return nil, fmt.Errorf("credential providers: %s: %w", p.config, err)
	}
	if c.APIVersion != kubeletv1.SchemeGroupVersion.String() || c.Kind != "CredentialProviderConfig" {
		return nil, fmt.Errorf("credential providers: %s: want kind CredentialProviderConfig of apiVersion %s", p.config, kubeletv1.SchemeGroupVersion)
	}
	for i := range c.Providers {
		if err := checkProvider(&c.Providers[i]); err != nil {
			return nil, fmt.Errorf("credential providers: %s: providers[%d]: %w", p.config, i, err)
		}
	}
	return c.Providers, nil
}

func checkProvider(c *kubeletv1.CredentialProvider) error {
	switch {
	case c.Name == "" || c.Name == "." || c.Name == ".." || filepath.Base(c.Name) != c.Name:
		return fmt.Errorf("name %q: want the name of a file", c.Name)
	case len(c.MatchImages) == 0:
		return errors.New("matchImages: want one pattern or more")
	case c.DefaultCacheDuration == nil || c.DefaultCacheDuration.Duration < 0:
		return errors.New("defaultCacheDuration: want a duration that is not negative")
	case c.APIVersion != providerv1.SchemeGroupVersion.String():
		return fmt.Errorf("apiVersion %q: want %s", c.APIVersion, providerv1.SchemeGroupVersion)
	case c.TokenAttributes != nil:
		return errors.New("tokenAttributes: providers are given no tokens of service accounts here")
	}
	return nil
}

// ask gives what the provider says of an image, by memory or by running it;
// nothing where it is not responsible.
func (p *providers) ask(ctx context.Context, c *kubeletv1.CredentialProvider, image string, now time.Time) (*Keyring, error) {
	ref, err := name.ParseReference(image)
	if err != nil || !matches(c.MatchImages, image) {
		return nil, nil
	}
	keys := map[providerv1.PluginCacheKeyType]string{
		providerv1.ImagePluginCacheKeyType: image, providerv1.RegistryPluginCacheKeyType: ref.Context().RegistryStr(), providerv1.GlobalPluginCacheKeyType: "",
	}
	if known := p.known(c, keys, now); known != nil {
		return known, nil
	}
	asked := p.asking.DoChan(cacheKey(c.Name, providerv1.ImagePluginCacheKeyType, image), func() (any, error) {
		// Whoever asked first may leave; the others still want the answer.
		return p.learn(context.WithoutCancel(ctx), c, image, keys, now)
	})
	select {
	case r := <-asked:
		keyring, _ := r.Val.(*Keyring)
		return keyring, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// known is what the provider said before; nil where that does not count.
func (p *providers) known(c *kubeletv1.CredentialProvider, keys map[providerv1.PluginCacheKeyType]string, now time.Time) *Keyring {
	p.mu.Lock()
	defer p.mu.Unlock()
	for kind, key := range keys {
		if hit, ok := p.cache[cacheKey(c.Name, kind, key)]; ok && now.Before(hit.until) {
			return hit.keyring
		}
	}
	return nil
}

// learn runs the provider and keeps what it says for as long as that counts.
func (p *providers) learn(ctx context.Context, c *kubeletv1.CredentialProvider, image string, keys map[providerv1.PluginCacheKeyType]string, now time.Time) (*Keyring, error) {
	answer, err := p.run(ctx, c, image)
	if err != nil {
		return nil, err
	}
	key, known := keys[answer.CacheKeyType]
	if !known {
		return nil, fmt.Errorf("its answer has cacheKeyType %q", answer.CacheKeyType)
	}
	keyring := &Keyring{}
	for server, a := range answer.Auth {
		if err := keyring.add(server, dockerAuth{Username: a.Username, Password: a.Password}, Source{}); err != nil {
			return nil, fmt.Errorf("registry %q: %w", server, err)
		}
	}
	keyring.sort()
	keep := c.DefaultCacheDuration.Duration
	if answer.CacheDuration != nil {
		keep = answer.CacheDuration.Duration
	}
	if keep > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.forgetLocked(now)
		p.cache[cacheKey(c.Name, answer.CacheKeyType, key)] = cached{keyring, now.Add(keep)}
	}
	return keyring, nil
}

// forgetLocked drops answers that have aged.
func (p *providers) forgetLocked(now time.Time) {
	for key, c := range p.cache {
		if !now.Before(c.until) {
			delete(p.cache, key)
		}
	}
}

func cacheKey(provider string, kind providerv1.PluginCacheKeyType, key string) string {
	return strings.Join([]string{provider, string(kind), key}, "\x00")
}

// matches says whether a provider is responsible for an image.
func matches(patterns []string, image string) bool {
	k := &Keyring{}
	for _, pattern := range patterns {
		_ = k.add(pattern, dockerAuth{}, Source{}) // one that is no address matches nothing
	}
	return len(k.Lookup(image)) > 0
}

// run asks the program once. What it answers is a secret and in no error.
func (p *providers) run(ctx context.Context, c *kubeletv1.CredentialProvider, image string) (*providerv1.CredentialProviderResponse, error) {
	request := providerv1.CredentialProviderRequest{Image: image}
	request.APIVersion, request.Kind = c.APIVersion, "CredentialProviderRequest"
	in, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.programs, c.Name), c.Args...)
	cmd.Env = os.Environ()
	for _, e := range c.Env {
		cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
	}
	out, complaint := bound{most: maxAnswer}, bound{most: maxComplaint}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(in), &out, &complaint, time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	}
	var answer providerv1.CredentialProviderResponse
	if json.Unmarshal(out.Bytes(), &answer) != nil || answer.APIVersion != c.APIVersion || answer.Kind != "CredentialProviderResponse" {
		return nil, fmt.Errorf("its answer is no CredentialProviderResponse of %s", c.APIVersion)
	}
	return &answer, nil
}

// bound keeps the first bytes of what is written to it.
type bound struct {
	bytes.Buffer
	most int
}

func (b *bound) Write(p []byte) (int, error) {
	if room := b.most - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
