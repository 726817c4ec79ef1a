package stream

import (
	"context"
	"net/http"

	corev1 "k8s.io/api/core/v1"
)

// Ask reads a path of a node's kubelet API as the API server itself. The
// caller checks the answer's status and closes its body.
func (s *Streams) Ask(ctx context.Context, node *corev1.Node, path string) (*http.Response, error) {
	at, err := kubeletURL(node)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	return s.verified.RoundTrip(req)
}
