// Package mutate is the bounded sibling of Go's fuzzing: it feeds a check with
// texts made by damaging good ones, the same ones on every run for one seed,
// without an instrumented build. Ordinary tests use it, so that every run of
// the suite tries a few thousand bad inputs; `make fuzz` runs the same checks
// under the real fuzzer for as long as one likes.
package mutate

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var seed = flag.Uint64("mutate.seed", 1, "where the damage begins; another number tries other inputs")

// fragments are what parsers of this kind of text stumble over.
var fragments = []string{
	"{", "}", "[", "]", "\"", ":", ",", "null", "true", "-1", "1e999", "9223372036854775808", "0x", "\\u0000", "\\ud800", "\x00", "\xff\xfe",
	"&a ", "*a", "<<: ", "---\n", "\n", "\t", "%00", "%2F", "..", "/", "~1", "~0", "-", "=", "!=", " in (", ")", "$patch", "$retainKeys",
	"$setElementOrder/", "$deleteFromPrimitiveList/", "metadata", "spec", "items", "k8s\x00", "f:", "k:{", "v:", ".",
}

// Each calls check with n damaged texts. A failure names the text.
func Each(t *testing.T, n int, texts []string, check func(t *testing.T, text string)) {
	t.Helper()
	r := rand.New(rand.NewPCG(*seed, 0))
	for range n {
		text := texts[r.IntN(len(texts))]
		for range 1 + r.IntN(4) {
			text = damage(r, text, texts[r.IntN(len(texts))])
		}
		guarded(t, text, check)
		if t.Failed() {
			return
		}
	}
}

func guarded(t *testing.T, text string, check func(t *testing.T, text string)) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panic: %v", p)
		}
		if t.Failed() {
			t.Logf("the text was %.4000q (-mutate.seed=%d)", text, *seed)
		}
	}()
	check(t, text)
}

// damage changes a text in one place.
func damage(r *rand.Rand, text, other string) string {
	at := place(r, text)
	end := min(len(text), at+1+r.IntN(1+len(text)/4))
	switch r.IntN(7) {
	case 0:
		return text[:at] + fragments[r.IntN(len(fragments))] + text[at:]
	case 1:
		return text[:at] + text[end:]
	case 2:
		return text[:end] + text[at:end] + text[end:]
	case 3:
		from := place(r, other)
		return text[:at] + other[from:min(len(other), from+1+r.IntN(20))] + text[at:]
	case 4:
		return text[:at] + string(rune(r.IntN(256))) + text[end:]
	case 5:
		return text[:at]
	}
	return text[:at] + fragments[r.IntN(len(fragments))] + text[end:]
}

func place(r *rand.Rand, text string) int { return r.IntN(len(text) + 1) }
