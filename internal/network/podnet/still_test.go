package podnet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is news that is heard so many milliseconds after the beginning.
type at struct {
	millis int
	news   news
}

func TestWhenStill(t *testing.T) {
	steady := func(n news, from, to, every int) (out []at) {
		for ; from <= to; from += every {
			out = append(out, at{from, n})
		}
		return out
	}
	for name, c := range map[string]struct {
		heard []at
		want  []int // when it is done, in milliseconds
	}{
		"nothing is heard":                       {nil, []int{1000}},
		"a reload of many steps":                 {append(steady(changed, 5000, 7400, 300), steady(busy, 7700, 9500, 900)...), []int{1000, 10500}},
		"steps further apart are two":            {[]at{{5000, changed}, {6001, changed}}, []int{1000, 6000, 7001}},
		"what is of no matter wakes nobody":      {steady(busy, 5000, 20000, 100), []int{1000}},
		"others never rest":                      {steady(busy, 0, 40000, 700), []int{10000}},
		"others never rest, and remove our rule": {append(steady(changed, 5000, 25000, 700), at{60000, changed}), []int{1000, 15000, 25500, 61000}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				heard, begun := make(chan news), time.Now()
				var done []int
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					whenStill(ctx, heard, func() { done = append(done, int(time.Since(begun).Milliseconds())) })
				}()
				for _, h := range c.heard {
					time.Sleep(time.Until(begun.Add(time.Duration(h.millis) * time.Millisecond)))
					heard <- h.news
				}
				time.Sleep(time.Minute)
				cancel()
				<-ended
				if diff := cmp.Diff(c.want, done); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
