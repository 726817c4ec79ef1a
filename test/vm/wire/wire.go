// Package wire is what the machine under test and its driver say to each
// other over a serial line: one JSON value a line, answered in order.
package wire

// Port names the serial line in the machine.
const Port = "org.knarr.vm"

// MaxOutput bounds the output of a script that is sent back, in bytes: of more,
// the end is kept.
const MaxOutput = 256 << 10

// Hello is what the machine says first, once a boot.
type Hello struct {
	// Boot is the kernel's random id of this boot.
	Boot string `json:"boot"`
}

// Request is a script for bash, run as root.
type Request struct {
	ID     int    `json:"id"`
	Script string `json:"script"`
	// Seconds after which it is killed, with what it started.
	Seconds int `json:"seconds"`
}

// Message is what the machine sends: a hello, or the answer to a request.
type Message struct {
	Hello *Hello `json:"hello,omitempty"`
	ID    int    `json:"id,omitempty"`
	Code  int    `json:"code"`
	// Output is standard output and error together.
	Output string `json:"output,omitempty"`
}
