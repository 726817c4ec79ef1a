package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"
)

// Nodes are the nodes of one machine; each keeps images of its own, and what
// changes them is done on all.
type Nodes []*Client

// Of makes clients of the runtimes behind the sockets, the first node's first.
func Of(sockets ...string) Nodes {
	var out Nodes
	for _, socket := range sockets {
		out = append(out, New(socket))
	}
	return out
}

// Import gives the archive to every node while it is read once. The result is
// the first node's.
func (n Nodes) Import(ctx context.Context, archive io.Reader, name string) ([]Imported, error) {
	if len(n) == 1 {
		return n[0].Import(ctx, archive, name)
	}
	results := make([][]Imported, len(n))
	writers := make([]io.Writer, len(n))
	closers := make([]*io.PipeWriter, len(n))
	group, ctx := errgroup.WithContext(ctx)
	for i, c := range n {
		reader, writer := io.Pipe()
		writers[i], closers[i] = writer, writer
		group.Go(func() (err error) {
			// Not to be closed with the request, which may be answered early.
			results[i], err = c.Import(ctx, struct{ io.Reader }{reader}, name)
			if err == nil {
				// What follows the end of an archive is nobody's: the others still read.
				_, err = io.Copy(io.Discard, reader)
			}
			reader.CloseWithError(errors.Join(err, io.ErrClosedPipe))
			return err
		})
	}
	_, err := io.Copy(io.MultiWriter(writers...), archive)
	for _, w := range closers {
		w.CloseWithError(err) // nil: the end of the archive
	}
	// A node's own refusal says more than the pipe that it closed.
	if refused := group.Wait(); refused != nil {
		return nil, refused
	}
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	return results[0], nil
}

// Pull has every node fetch the image.
func (n Nodes) Pull(ctx context.Context, name string) error {
	return n.each(ctx, func(ctx context.Context, c *Client) error {
		_, err := c.Pull(ctx, name)
		return err
	})
}

// Remove removes the image from every node.
func (n Nodes) Remove(ctx context.Context, name string) error {
	return n.each(ctx, func(ctx context.Context, c *Client) error { return c.Remove(ctx, name) })
}

// Export writes images of the first node as one archive.
func (n Nodes) Export(ctx context.Context, w io.Writer, names ...string) error {
	return n[0].Export(ctx, w, names...)
}

// List lists the images of the first node.
func (n Nodes) List(ctx context.Context) ([]Image, error) { return n[0].List(ctx) }

func (n Nodes) each(ctx context.Context, f func(context.Context, *Client) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range n {
		group.Go(func() error { return f(ctx, c) })
	}
	return group.Wait()
}
