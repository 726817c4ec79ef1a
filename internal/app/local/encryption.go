package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/client-go/rest"

	"github.com/knarr-io/knarr/internal/store/encryption"
)

// EncryptionPath is where the API tells how stored objects are encrypted; an
// administrator may read it.
const EncryptionPath = "/knarr/encryption"

// maxStatus bounds the answer, in bytes.
const maxStatus = 64 << 10

// EncryptionStatus asks the server that runs.
func EncryptionStatus(ctx context.Context, s Settings) (encryption.Status, error) {
	var out encryption.Status
	config, err := adminConfig(s)
	if err != nil {
		return out, err
	}
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return out, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+EncryptionPath, nil)
	if err != nil {
		return out, err
	}
	resp, err := transport.Do(r)
	if err != nil {
		return out, fmt.Errorf("ask the server how objects are encrypted: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("ask the server how objects are encrypted: it answers %s", resp.Status)
	}
	return out, json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(&out)
}

// RotateKey gives stored objects a new key and returns when all of them are
// written with it. prune takes the former keys away then.
func RotateKey(ctx context.Context, s Settings, prune bool) (name string, rewritten int, err error) {
	file, _ := s.EncryptionFile()
	before, err := EncryptionStatus(ctx, s)
	if err != nil {
		return "", 0, err
	}
	if before.File != file {
		return "", 0, fmt.Errorf("the server was started with %s: name that with --encryption-config", before.File)
	}
	if name, err = encryption.Rotate(file); err != nil {
		return "", 0, err
	}
	status, err := awaitEncryption(ctx, s, before.Generation+1)
	if err != nil || !prune {
		return name, status.Rewritten, err
	}
	if err := encryption.Prune(file); err != nil {
		return name, status.Rewritten, err
	}
	_, err = awaitEncryption(ctx, s, status.Generation+1)
	return name, status.Rewritten, err
}

// awaitEncryption returns when the server has taken a configuration over and
// everything is written as it says.
func awaitEncryption(ctx context.Context, s Settings, generation int) (encryption.Status, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := EncryptionStatus(ctx, s)
		switch {
		case err != nil:
			return status, err
		case status.Error != "":
			return status, errors.New(status.Error)
		case status.Current && status.Generation >= generation:
			return status, nil
		}
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-tick.C:
		}
	}
}
