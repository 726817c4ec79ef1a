package stream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

const (
	copyBuffer = 32 << 10
	// maxErrorText bounds what is read of a node's error answer.
	maxErrorText = 2 << 10
)

// log streams a container's log. A pod that has no node yet has no log: 204.
func (s *Streams) log(w http.ResponseWriter, r *http.Request, c endpoint.Connection) error {
	pod, err := podOf(c)
	if err != nil {
		return err
	}
	options, err := logOptions(r.URL.Query(), pod.Name)
	if err != nil {
		return err
	}
	container, err := pickContainer(pod, options.Container)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	location, err := s.containerURL("containerLogs", pod, container, kubeletQuery(options))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("log of pod %s: %w", pod.Name, err)
	}
	via := s.verified
	if options.InsecureSkipTLSVerifyBackend {
		via = s.trusting
	}
	response, err := via.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := refused(response, pod.Name); err != nil {
		return err
	}
	if wsstream.IsWebSocketRequest(r) {
		return socket(w, r, response.Body, cancel)
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	return pump(w, response.Body)
}

// pump copies and shows every piece at once. A client that went away is no
// error: its request's context has ended the other side by then.
func pump(w http.ResponseWriter, body io.Reader) error {
	control := http.NewResponseController(w)
	if err := control.Flush(); err != nil {
		return fmt.Errorf("stream to the client: %w", err)
	}
	buffer := make([]byte, copyBuffer)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return nil
			}
			if err := control.Flush(); err != nil {
				return nil
			}
		}
		if err != nil {
			return nil
		}
	}
}

// refused turns a node's error answer into a status with the node's words.
func refused(response *http.Response, name string) error {
	if response.StatusCode < http.StatusBadRequest {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorText)) // what there is of it
	words := strings.TrimSpace(string(text))
	switch response.StatusCode {
	case http.StatusInternalServerError:
		return apierrors.NewInternalError(fmt.Errorf("%s", words))
	case http.StatusBadRequest:
		return apierrors.NewBadRequest(words)
	}
	return apierrors.NewGenericServerResponse(response.StatusCode, http.MethodGet, corev1.Resource("pods/log"), name, words, 0, true)
}

func podOf(c endpoint.Connection) (*corev1.Pod, error) {
	pod, ok := c.Object.(*corev1.Pod)
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("pods"), c.Request.Name)
	}
	return pod, nil
}
