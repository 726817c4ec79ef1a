package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
)

// mostEvents bounds what one Next returns.
const mostEvents = 256

// wireStream reads watch frames off a connection. One goroutine decodes, so
// that Next can end with its context at once.
type wireStream struct {
	kind   *api.Kind
	events chan request.Event
	stop   func()
	once   sync.Once
	err    error // set before events is closed
}

func newWireStream(kind *api.Kind, res *http.Response, cancel context.CancelFunc) *wireStream {
	s := &wireStream{kind: kind, events: make(chan request.Event, mostEvents), stop: cancel}
	frame := jsonFrames(res.Body)
	contentType := mediaJSON
	if isProtobuf(res.Header.Get("Content-Type")) {
		contentType = mediaProtobuf
		frame = protobufFrames(res.Body)
	}
	go func() {
		defer res.Body.Close()
		defer close(s.events)
		s.err = s.read(res.Request.Context(), contentType, frame)
	}()
	return s
}

// frameReader gives the type of the next event and its object's bytes.
type frameReader func() (kind string, object []byte, err error)

func (s *wireStream) read(ctx context.Context, contentType string, next frameReader) error {
	for {
		kind, raw, err := next()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		obj, err := s.decode(contentType, watch.EventType(kind), raw)
		if err != nil {
			return err
		}
		select {
		case s.events <- request.Event{Type: watch.EventType(kind), Object: obj}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *wireStream) decode(contentType string, typ watch.EventType, data []byte) (runtime.Object, error) {
	_, raw, err := open(contentType, data)
	if err != nil {
		return nil, err
	}
	if typ == watch.Error {
		return decodeInto[runtime.Object](contentType, raw, &metav1.Status{})
	}
	return decodeInto[runtime.Object](contentType, raw, s.kind.New())
}

// Next implements request.Stream.
func (s *wireStream) Next(ctx context.Context) ([]request.Event, error) {
	var out []request.Event
	select {
	case ev, ok := <-s.events:
		if !ok {
			return nil, s.err
		}
		out = append(out, ev)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for len(out) < mostEvents {
		select {
		case ev, ok := <-s.events:
			if !ok {
				return out, nil
			}
			out = append(out, ev)
		default:
			return out, nil
		}
	}
	return out, nil
}

// Stop implements request.Stream.
func (s *wireStream) Stop() { s.once.Do(s.stop) }

// jsonFrames reads one JSON watch event after the other.
func jsonFrames(r io.Reader) frameReader {
	dec := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	return func() (string, []byte, error) {
		var ev struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := dec.Decode(&ev); err != nil {
			return "", nil, endOf(err)
		}
		return ev.Type, ev.Object, nil
	}
}

// protobufFrames reads watch events behind a length of four bytes each.
func protobufFrames(r io.Reader) frameReader {
	buffered := bufio.NewReaderSize(r, 64<<10)
	return func() (string, []byte, error) {
		var length [4]byte
		if _, err := io.ReadFull(buffered, length[:]); err != nil {
			return "", nil, endOf(err)
		}
		n := binary.BigEndian.Uint32(length[:])
		if n > maxFrame {
			return "", nil, fmt.Errorf("a watch event of %d bytes is over the bound of %d", n, maxFrame)
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(buffered, frame); err != nil {
			return "", nil, endOf(err)
		}
		var ev metav1.WatchEvent
		if err := ev.Unmarshal(frame); err != nil {
			return "", nil, fmt.Errorf("decoding a watch event: %w", err)
		}
		return ev.Type, ev.Object.Raw, nil
	}
}

// endOf makes a connection cut between or within events an ordinary end: the
// watch goes on from the last event.
func endOf(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
