package apiserver

import (
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/knarr-io/knarr/internal/apiserver/codec"
)

// wantsWebSocket tells whether a request asks to become a WebSocket.
func wantsWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade")
}

// socketSink sends each event of a watch as one WebSocket message.
type socketSink struct {
	conn    *websocket.Conn
	message int
	gone    chan struct{}
}

func newSocketSink(w http.ResponseWriter, r *http.Request, f codec.Format) (sink, error) {
	// Browsers send their cookies anywhere, but the API takes none: any
	// origin may ask, as with upstream.
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return nil, err
	}
	out := &socketSink{conn: conn, message: websocket.TextMessage, gone: make(chan struct{})}
	if f == codec.Protobuf {
		out.message = websocket.BinaryMessage
	}
	conn.SetReadLimit(1 << 10)
	go out.drain()
	return out, nil
}

// drain reads what the client sends, which is nothing but control messages,
// until it goes.
func (s *socketSink) drain() {
	defer close(s.gone)
	for {
		if _, _, err := s.conn.ReadMessage(); err != nil {
			return
		}
	}
}

func (s *socketSink) write(event []byte) bool {
	select {
	case <-s.gone:
		return false
	default:
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	return s.conn.WriteMessage(s.message, event) == nil
}

func (s *socketSink) flush() bool { return true }

func (s *socketSink) close() {
	deadline := time.Now().Add(time.Second)
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline)
	_ = s.conn.Close()
	<-s.gone
}
