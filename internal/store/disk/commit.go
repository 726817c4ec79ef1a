package disk

import (
	"context"
	"fmt"

	"github.com/knarr-io/knarr/internal/store"
)

// Commit hands the operations to the writer and waits until they are durable.
func (e *engine) Commit(ctx context.Context, ops []store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(ops) == 0 {
		return e.gate.Revision(), nil
	}
	if err := e.checkOps(ops); err != nil {
		return 0, err
	}
	r := &request{ops: ops, done: make(chan struct{})}
	if err := e.queue.push(r); err != nil {
		return 0, err
	}
	select {
	case <-r.done:
	case <-e.failure.done:
		return 0, e.failure.err
	case <-ctx.Done():
		if e.queue.withdraw(r) {
			return 0, ctx.Err()
		}
		// The writer has it: the caller must learn how it ends.
		select {
		case <-r.done:
		case <-e.failure.done:
			return 0, e.failure.err
		}
	}
	return r.result.revision, r.result.err
}

func (e *engine) checkOps(ops []store.Op) error {
	size := 0
	for i, op := range ops {
		if err := checkKey(op.Key); err != nil {
			return err
		}
		if len(op.Value) > e.options.MaxValue {
			return fmt.Errorf("%s: %d bytes, at most %d fit: %w", op.Key, len(op.Value), e.options.MaxValue, store.ErrTooLarge)
		}
		size += len(op.Key) + len(op.Value)
		for _, other := range ops[:i] {
			if other.Key == op.Key {
				return fmt.Errorf("commit names %s twice", op.Key)
			}
		}
	}
	if size > e.options.MaxCommit || len(ops) > maxOps {
		return fmt.Errorf("commit of %d operations and %d bytes: %w", len(ops), size, store.ErrTooLarge)
	}
	return nil
}

// maxOps bounds the operations of one commit.
const maxOps = 1024
