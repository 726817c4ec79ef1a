package allocate

import (
	"errors"
	"math/rand/v2"
)

// The refusals of a pool, in upstream's words.
var (
	errTaken = errors.New("provided port is already allocated")
	errFull  = errors.New("range is full")
)

// pool hands out the numbers from 0 to size-1. The first band of them is kept
// for those who ask for a certain number; others get a random one above it,
// and one of the band only when nothing else is left. It is not safe for
// concurrent use.
type pool struct {
	size, band int
	taken      map[int]bool
	random     func(n int) int
}

func newPool(size, band int) *pool {
	return &pool{size: size, band: min(band, size), taken: map[int]bool{}, random: rand.IntN}
}

// staticBand is how many numbers of a range are kept for wishes: a divisor's
// part of it within bounds.
func staticBand(size, divisor, least, most int) int {
	if size <= least {
		return 0
	}
	return min(max(size/divisor, least), most)
}

// take gives a certain number.
func (p *pool) take(n int) bool {
	if p.taken[n] {
		return false
	}
	p.taken[n] = true
	return true
}

func (p *pool) release(n int) { delete(p.taken, n) }

// next gives any free number.
func (p *pool) next() (int, error) {
	if n, ok := p.scan(p.band, p.size); ok {
		return n, nil
	}
	if n, ok := p.scan(0, p.band); ok {
		return n, nil
	}
	return 0, errFull
}

// scan takes the first free number behind a random one, around the range.
func (p *pool) scan(from, to int) (int, bool) {
	return scan(from, to, p.random, p.take)
}

// scan offers the numbers from one up to another, beginning at random, until
// one is taken.
func scan(from, to int, random func(n int) int, take func(n int) bool) (int, bool) {
	span := to - from
	if span <= 0 {
		return 0, false
	}
	start := random(span)
	for i := range span {
		n := from + (start+i)%span
		if take(n) {
			return n, true
		}
	}
	return 0, false
}
