// Package limits names every bound that protects the API server from what
// strangers send and hold open. Each constant says who keeps it and what the
// one who meets it is told; a test of that package meets it.
//
// The package holds numbers only, so that any part of the server may use it.
// Bounds that belong to a part alone and protect nothing but its own memory
// (kept encodings, event histories) stay with that part.
package limits

import "time"

// What one request may bring.
const (
	// Headers bounds the request line and the headers together, in bytes: the
	// length of a URL too. 431, or a refused stream of HTTP/2. As upstream's.
	Headers = 1 << 20
	// Body bounds a request's body, in bytes. 413. As upstream's.
	Body = 3 << 20
	// Object bounds one object as it is stored, in bytes. 413. etcd's.
	Object = 3 << 19
	// Depth bounds how deep a body's objects and lists may lie within each
	// other, whatever its format. 400. As upstream's JSON decoder has it.
	Depth = 10_000
	// PatchOperations bounds a JSON patch. 413. As upstream's.
	PatchOperations = 10_000
	// PatchCopies bounds what the copies of a JSON patch may add, in bytes.
	// 422. As upstream's.
	PatchCopies = Body
	// Accept bounds the Accept header that is looked at, in bytes. 406.
	Accept = 4 << 10
	// ContinueToken bounds the token that a list goes on from, in bytes. 400.
	ContinueToken = 4 << 10
	// BearerToken bounds a service account's token, in bytes. 401.
	BearerToken = 16 << 10
	// AuditID bounds the id that a client may give its request, in bytes; the
	// rest is cut off.
	AuditID = 64
	// ManagerName bounds a field manager's name, in characters. 422, or cut
	// off where the name is taken from the User-Agent. As upstream's.
	ManagerName = 128
	// Warning and Warnings bound one warning of an answer, in characters, and
	// all of them, in bytes; what is too much is cut off. As upstream's.
	Warning  = 256
	Warnings = 4 << 10
)

// How long and how often.
const (
	// Handshake bounds a TLS handshake and, after it, the time until the
	// headers of a request have come. The connection is closed. As upstream's.
	Handshake = 32 * time.Second
	// Idle is how long a connection may stay open without a request.
	Idle = 3 * time.Minute
	// Request bounds a request that is no watch and no stream: reading its
	// body, working on it, and each time that the client lets the server wait
	// for it to take the answer. 504, or a closed stream. As upstream's.
	Request = time.Minute
	// Stall is how long a client of HTTP/2 may take none of what is sent.
	Stall = 30 * time.Second
	// WatchMost and WatchLeast are how long a watch lasts that names no time
	// of its own: between the two, at random, so that they do not all come
	// back at once. As upstream's.
	WatchLeast = 30 * time.Minute
	WatchMost  = time.Hour
	// Fresh is how long a read waits for a revision that is not there yet.
	// 504 with a cause. As upstream's.
	Fresh = 3 * time.Second
	// PatchTries bounds how often a patch is made again that lost a race. 409.
	// As upstream's.
	PatchTries = 5
	// NameTries bounds how often a generated name is made anew. 409. As
	// upstream's.
	NameTries = 8
	// Shutdown is how long requests may go on after the server was told to
	// end.
	Shutdown = 10 * time.Second
)

// Memory that bodies of requests, and answers, may hold at a time: each kind a
// quarter of GOMEMLIMIT, between BudgetLeast and BudgetMost, in bytes. Who
// finds none waits, as long as a request may take. 429. What is below
// SmallBytes is not counted, so that leases renew whatever else goes on.
const (
	BudgetLeast = 32 << 20
	BudgetMost  = 1 << 30
	SmallBytes  = 64 << 10
	// QueuePart of a request's time is what it may wait for its seats. As
	// upstream's.
	QueuePart = 4
)

// How much at once.
const (
	// Connections bounds those that are open. One more is closed at once.
	Connections = 20_000
	// Streams bounds the requests at a time on one connection of HTTP/2.
	Streams = 250
	// Watches bounds those that run, of all clients together. 429.
	Watches = 100_000
	// Reads and Writes are together the seats of requests that are worked on;
	// priority levels share them (package flow). 429 with Retry-After. As
	// upstream's.
	Reads  = 400
	Writes = 200
)
