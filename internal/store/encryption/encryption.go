// Package encryption keeps values of the store unreadable on disk, as an
// EncryptionConfiguration (apiserver.config.k8s.io/v1) says.
//
// Where nobody gives such a file one is made at the first start: it encrypts
// Secrets with AES-GCM under a random key. The ciphers, key management
// services among them, and the checks of the file are those of the
// k8s.io/apiserver library, so a file that works upstream works here. The
// store key is authenticated with each value: one that was copied to another
// place does not decrypt.
//
// Keys owns the ciphers in use. Run follows the file: a new one is taken over
// only if it can read everything that is stored; then every object of which
// the stored form is out of date is written again, and Status tells when that
// is done. So no state of the file makes an object unreadable that was
// readable before. Keys themselves never appear in logs or errors.
package encryption

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	"github.com/knarr-io/knarr/internal/base/filewatch"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Options say where the configuration lies.
type Options struct {
	// File is an EncryptionConfiguration.
	File string
	// Make makes the file where there is none.
	Make   bool
	Logger *slog.Logger
}

// Keys are the ciphers in use. Safe for concurrent use.
type Keys struct {
	file   string
	logger *slog.Logger

	mu      sync.Mutex
	current *loaded                        // guarded by mu
	slots   map[schema.GroupResource]*slot // guarded by mu
	status  Status                         // guarded by mu
	// generation counts the configurations that were in use; guarded by mu.
	generation int
}

// loaded is a configuration with what it started.
type loaded struct {
	content []byte
	ciphers encryptionconfig.StaticTransformers
	checks  []check
	close   func()
}

// Open reads the configuration. Close ends what it started.
func Open(ctx context.Context, o Options) (*Keys, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Make {
		if err := makeFile(o.File); err != nil {
			return nil, fmt.Errorf("make the key that encrypts Secrets: %w", err)
		}
	}
	k := &Keys{file: o.File, logger: o.Logger, slots: map[schema.GroupResource]*slot{}, status: Status{File: o.File}}
	first, err := load(ctx, o.File)
	if err != nil {
		return nil, err
	}
	k.current, k.generation = first, 1
	return k, nil
}

// load reads a configuration and connects to the services that it names.
func load(ctx context.Context, file string) (*loaded, error) {
	content, err := filewatch.Read(file)
	if err != nil {
		return nil, fmt.Errorf("read the encryption configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	config, err := encryptionconfig.LoadEncryptionConfig(ctx, file, true, serverID)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("encryption configuration %s: %w", file, err)
	}
	out := &loaded{content: content, ciphers: config.Transformers, close: closeAfter(cancel, config.KMSCloseGracePeriod)}
	for _, one := range config.HealthChecks {
		out.checks = append(out.checks, one)
	}
	return out, nil
}

// serverID names this server to key management services.
const serverID = "knarr"

// Close ends connections to key management services.
func (k *Keys) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current.close()
}

// Of is the sealer of a resource. It stays good when the configuration
// changes.
func (k *Keys) Of(gr schema.GroupResource) cache.Sealer {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.slots[gr]
	if s == nil {
		s = &slot{resource: gr, file: k.file}
		s.cipher.Store(cipherOf(k.current, gr))
		k.slots[gr] = s
	}
	return s
}

// use takes a configuration over for all resources.
func (k *Keys) use(next *loaded) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current = next
	for gr, s := range k.slots {
		s.cipher.Store(cipherOf(next, gr))
	}
}

// sealsOf are the sealers that a configuration would give.
func (k *Keys) sealsOf(l *loaded) cache.Seals {
	return func(gr schema.GroupResource) cache.Sealer {
		s := &slot{resource: gr, file: k.file}
		s.cipher.Store(cipherOf(l, gr))
		return s
	}
}

// cipherOf is nil for a resource that no rule covers: its values are stored
// as they are, at no cost.
func cipherOf(l *loaded, gr schema.GroupResource) *value.Transformer {
	t := l.ciphers.TransformerForResource(gr)
	if t == identity.NewEncryptCheckTransformer() {
		return nil
	}
	return &t
}

// sealed begins what a cipher wrote: k8s:enc:CIPHER:v1:KEY:...
var sealed = []byte("k8s:enc:")

// errNoKey says which key a value needs.
func errNoKey(stored []byte, file string) error {
	rest, ok := bytes.CutPrefix(stored, sealed)
	parts := bytes.SplitN(rest, []byte(":"), 4)
	if !ok || len(parts) < 4 {
		return fmt.Errorf("%s does not list the provider identity, which reads what was stored unencrypted", file)
	}
	return fmt.Errorf("it is encrypted by %s with the key %q\n    what to do: put this key back into %s (or the file back in its place, from a backup); nothing was changed", parts[0], parts[2], file)
}

// errNotReadable begins what is wrong with a configuration that would lose
// objects.
var errNotReadable = errors.New("the new encryption configuration cannot read what is stored, so the old one stays in use")
