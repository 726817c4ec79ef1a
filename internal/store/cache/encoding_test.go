package cache

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func write(data string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(data), nil }
}

func TestEncodedOnce(t *testing.T) {
	f := newFixture(t, Options{})
	item := f.create(f.configMaps(), configMap("a", "b", ""))
	var made atomic.Int32
	encode := func() ([]byte, error) {
		made.Add(1)
		return []byte("bytes"), nil
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if data, err := item.Encoded("json", encode); err != nil || string(data) != "bytes" {
				t.Errorf("Encoded = %q, %v", data, err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times, want once", made.Load())
	}
	if data, _ := item.Encoded("other", write("other bytes")); string(data) != "other bytes" {
		t.Errorf("another media key gave %q", data)
	}
	if got := f.cache.EncodedBytes(); got != int64(len("bytes")+len("other bytes")) {
		t.Errorf("%d bytes are counted", got)
	}
}

func TestEncodingErrorsAreNotKept(t *testing.T) {
	f := newFixture(t, Options{})
	item := f.create(f.configMaps(), configMap("a", "b", ""))
	broken := errors.New("broken")
	if _, err := item.Encoded("json", func() ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = item.Encoded("json", func() ([]byte, error) { panic("broken") })
	}()
	if _, err := item.Encoded("json", write("late")); !errors.Is(err, errEncodePanicked) {
		t.Errorf("who shared an encoding that panicked got %v", err)
	}
	if data, err := item.Encoded("json", write("whole")); err != nil || string(data) != "whole" {
		t.Errorf("Encoded after errors = %q, %v", data, err)
	}
}

func TestEncodingBudget(t *testing.T) {
	const size, kept = 100, 5
	f := newFixture(t, Options{EncodingBudget: size * kept})
	item := f.create(f.configMaps(), configMap("a", "b", ""))
	data := string(make([]byte, size))
	used := func(key string) (hit bool) {
		hit = true
		if _, err := item.Encoded(key, func() ([]byte, error) { hit = false; return []byte(data), nil }); err != nil {
			t.Fatal(err)
		}
		return hit
	}
	used("hot")
	for i := range 50 {
		used(fmt.Sprint(i))
		if !used("hot") {
			t.Fatalf("what is used all the time was evicted at %d", i)
		}
	}
	if got := f.cache.EncodedBytes(); got > size*kept {
		t.Errorf("%d bytes are held, the budget is %d", got, size*kept)
	}
	if used("0") {
		t.Error("what was not used for long is still there")
	}
}

func TestRestGivesUpWhatWasWantedOnce(t *testing.T) {
	f := newFixture(t, Options{})
	item := f.create(f.configMaps(), configMap("a", "b", ""))
	encode := func(key string) {
		if data, err := item.Encoded(key, write(key)); err != nil || string(data) != key {
			t.Fatalf("Encoded = %q, %v", data, err)
		}
	}
	held := func(want ...string) {
		t.Helper()
		bytes := 0
		for _, key := range want {
			bytes += len(key)
		}
		if got := f.cache.EncodedBytes(); got != int64(bytes) {
			t.Errorf("%d bytes are held, want those of %v", got, want)
		}
	}
	encode("once")
	encode("again")
	encode("again")
	held("once", "again")
	f.cache.Rest()
	held("again")
	encode("once")
	f.cache.Rest()
	held()
}
