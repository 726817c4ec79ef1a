package server

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/encryption"
)

// openKeys reads how stored objects are encrypted. What is only in memory
// needs no key, unless somebody asks for one.
func (p *process) openKeys(ctx context.Context) (cache.Seals, error) {
	file, own := p.EncryptionFile()
	if p.Memory && own {
		return nil, nil
	}
	keys, err := encryption.Open(ctx, encryption.Options{File: file, Make: own, Logger: p.logOf("encryption")})
	if err != nil {
		return nil, err
	}
	p.keys = keys
	return keys.Of, nil
}

func (p *process) closeKeys() {
	if p.keys != nil {
		p.keys.Close()
	}
}

// followKeys takes changes of the configuration over until ctx ends; wait
// returns when it has ended.
func (p *process) followKeys(ctx context.Context) (wait func()) {
	var following sync.WaitGroup
	if p.keys != nil {
		following.Go(func() {
			if err := p.keys.Run(ctx, p.cache); err != nil {
				p.Logger.Error("changes of the encryption configuration are not seen until the next start", "error", err)
			}
		})
	}
	return following.Wait
}

// answerEncryption tells an administrator whether every object is encrypted
// with the current key.
func (p *process) answerEncryption(w http.ResponseWriter, _ *http.Request) {
	var status encryption.Status
	if p.keys != nil {
		status = p.keys.Status()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status)
}
