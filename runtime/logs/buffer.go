package logs

import "sync"

// Pool lends the memory that one flush works in. It is shared by the writers of
// every container, so that a quiet one holds none. The zero value is ready for use.
type Pool struct{ pool sync.Pool }

type buffers struct {
	in, out []byte
}

// maxPooled is the largest buffer that is kept for the next flush, in bytes.
const maxPooled = 256 << 10

func (p *Pool) get() *buffers {
	if b, ok := p.pool.Get().(*buffers); ok {
		return b
	}
	return &buffers{}
}

func (p *Pool) put(b *buffers) {
	if cap(b.out) > maxPooled {
		b.out = nil
	}
	p.pool.Put(b)
}

// grow returns a slice of n bytes, in b's memory if that suffices.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
