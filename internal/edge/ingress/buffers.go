package ingress

import "sync"

// bufferSize is what is copied of an answer at once, in bytes.
const bufferSize = 32 << 10

// buffers lends the proxy what it copies answers with: to make it for each one
// would be most of what a small request costs in memory.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
