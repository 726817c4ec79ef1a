package ingress

import "strings"

// protocol is what endpoints speak.
type protocol int

const (
	unsaid  protocol = iota // HTTP/1.1
	plain                   // HTTP/1.1, whatever the Service says
	h2c                     // HTTP/2 without TLS
	overTLS                 // TLS, with HTTP/2 where the endpoint has it
)

// protocolOf reads an annotation, or a Service port's appProtocol: a name of
// IANA's, or kubernetes.io/h2c (KEP-3726). What is not known says nothing.
func protocolOf(name string) protocol {
	switch strings.ToLower(name) {
	case "http":
		return plain
	case "h2c", "kubernetes.io/h2c":
		return h2c
	case "https":
		return overTLS
	}
	return unsaid
}
