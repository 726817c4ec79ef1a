package await

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// failed is a test that tells how it failed instead of ending.
type failed struct {
	testing.TB
	text string
}

func (f *failed) Helper() {}

func (f *failed) Fatalf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }

func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, began := 0, time.Now()
		Until(t, time.Minute, "three looks", func() bool { looks++; return looks == 3 })
		if looks != 3 || time.Since(began) != 2*pace {
			t.Errorf("%d looks in %s", looks, time.Since(began))
		}
	})
}

func TestSaysWhatDidNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f failed
		Until(&f, time.Minute, "spring", func() bool { return false })
		if want := "not within 1m0s: spring"; f.text != want {
			t.Errorf("%q, want %q", f.text, want)
		}
		looks := 0
		Success(&f, time.Second, "summer", func() error { looks++; return errors.New("snow") })
		if want := "not within 1s: summer: snow"; f.text != want || looks < 2 {
			t.Errorf("%q after %d looks, want %q", f.text, looks, want)
		}
	})
}
