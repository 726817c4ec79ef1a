package stream

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// socketPiece is how much of a log one message carries at most, in bytes.
	socketPiece = 2 << 10
	// socketLimit bounds what a client may say on a log's socket: it has no
	// reason to say anything.
	socketLimit = 1 << 10
	// socketWait is how long a message may take to a client that is slow.
	socketWait = time.Minute
)

// The forms in which a client can want the pieces of a log. Without a wish it
// gets bytes.
const (
	socketBytes  = "binary.k8s.io"
	socketBase64 = "base64.binary.k8s.io"
)

// socket sends a log as messages until it ends or the client goes, which calls
// gone. The first message is empty, as upstream's is. Once the connection is a
// WebSocket there is no answer to put an error into.
func socket(w http.ResponseWriter, r *http.Request, body io.Reader, gone context.CancelFunc) error {
	// The API takes no cookies: any origin may ask.
	up := websocket.Upgrader{Subprotocols: []string{socketBytes, socketBase64}, CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return nil // the client has got its answer
	}
	conn.SetReadLimit(socketLimit)
	left := make(chan struct{})
	go func() {
		defer close(left)
		defer gone()
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
	pieces(conn, body)
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = conn.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second))
	_ = conn.Close()
	<-left
	return nil
}

// pieces sends what body gives; neither side's end is an error.
func pieces(conn *websocket.Conn, body io.Reader) {
	kind, form := websocket.BinaryMessage, func(b []byte) []byte { return b }
	if conn.Subprotocol() == socketBase64 {
		kind, form = websocket.TextMessage, func(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }
	}
	buffer := make([]byte, socketPiece)
	n, ended := 0, error(nil)
	for {
		if n > 0 || ended == nil {
			_ = conn.SetWriteDeadline(time.Now().Add(socketWait))
			if err := conn.WriteMessage(kind, form(buffer[:n])); err != nil {
				return
			}
		}
		if ended != nil {
			return
		}
		n, ended = body.Read(buffer)
	}
}
