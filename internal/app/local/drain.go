package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// ShutdownPath is what is asked of the node's socket, by POST, before the node
// is switched off; it answers when the pods have ended.
const ShutdownPath = "/shutdown"

// maxAnswer bounds what a node may answer, in bytes.
const maxAnswer = 4 << 10

// drain asks the node to end its pods in good order, while the API still takes
// their last word; a node without settings for that leaves it to pods.
func (d downer) drain(ctx context.Context) error {
	if d.now {
		return nil
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.NodeSocket())
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node"+ShutdownPath, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil // no agent runs
	}
	if err != nil {
		return fmt.Errorf("ask the node to end its pods: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask the node to end its pods: %w", err)
	}
	return fmt.Errorf("the node has not ended its pods: %s", strings.TrimSpace(string(text)))
}
