package verb

import (
	"math/rand/v2"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// suffixLetters leave out vowels and what is easily misread.
	suffixLetters = "bcdfghjklmnpqrstvwxz2456789"
	suffixLength  = 5
	// maxNameBase is what a generateName may contribute to a name of 63 bytes.
	maxNameBase = 63 - suffixLength
)

func randomSuffix() string {
	var b [suffixLength]byte
	for i := range b {
		b[i] = suffixLetters[rand.IntN(len(suffixLetters))]
	}
	return string(b[:])
}

func randomUID() types.UID { return types.UID(uuid.NewString()) }

func (h *Handler) generate(base string) string {
	if len(base) > maxNameBase {
		base = base[:maxNameBase]
	}
	return base + h.Suffix()
}
