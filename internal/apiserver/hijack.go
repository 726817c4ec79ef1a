package apiserver

import (
	"bufio"
	"net"
	"net/http"
)

// Hijack is part of http.Hijacker: upgrades take the connection over.
func (w *seenWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.begins(http.StatusSwitchingProtocols)
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Flush is part of http.Flusher.
func (w *seenWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
