// Package client speaks with knarr-keep. A Client owns one connection for
// requests and answers, dialled when needed and again after keep was replaced;
// streams have a connection of their own.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/knarr-io/knarr/runtime/keep/fdconn"
	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

// Client sends requests to keep. It is safe for concurrent use.
type Client struct {
	path string

	mu   sync.Mutex
	conn *fdconn.Conn
}

// New returns a client of the keep that listens on path. It does not connect yet.
func New(path string) *Client { return &Client{path: path} }

// Close closes the connection. The client may be used again.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked()
}

func (c *Client) dropLocked() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func dial(path string) (*fdconn.Conn, error) {
	sock, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("knarr-keep: %w", err)
	}
	return fdconn.New(sock.(*net.UnixConn), wire.MaxLine, wire.MaxFDs), nil
}

// Do sends req with fds and returns the answer and what descriptors came with
// it, which the caller must close. A refusal is a *wire.Error. A connection
// that broke since the last request is dialled again once.
func (c *Client) Do(req wire.Request, fds []int) (wire.Answer, []*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for fresh := false; ; fresh = true {
		if c.conn == nil {
			conn, err := dial(c.path)
			if err != nil {
				return wire.Answer{}, nil, err
			}
			c.conn, fresh = conn, true
		}
		a, files, err := exchange(c.conn, req, fds)
		var refused *wire.Error
		if err == nil || errors.As(err, &refused) {
			return a, files, err
		}
		c.dropLocked()
		if fresh {
			return wire.Answer{}, nil, fmt.Errorf("knarr-keep: %s: %w", req.Op, err)
		}
	}
}

func exchange(conn *fdconn.Conn, req wire.Request, fds []int) (wire.Answer, []*os.File, error) {
	var a wire.Answer
	req.FDs = len(fds)
	data, err := json.Marshal(req)
	if err != nil {
		return a, nil, err
	}
	if err := conn.WriteLine(data, fds); err != nil {
		return a, nil, err
	}
	if a, err = readAnswer(conn); err != nil {
		return a, nil, err
	}
	files, err := conn.TakeFiles(a.FDs)
	return a, files, err
}

func readAnswer(conn *fdconn.Conn) (wire.Answer, error) {
	var a wire.Answer
	line, err := conn.ReadLine()
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("answer: %w", err)
	}
	if a.Error != nil {
		return a, a.Error
	}
	return a, nil
}

// Hold makes keep hold duplicates of fds under key.
func (c *Client) Hold(key string, fds []int) error {
	_, _, err := c.Do(wire.Request{Op: wire.OpHold, Key: key}, fds)
	return err
}

// Take returns duplicates of what is held under key; none if nothing is.
func (c *Client) Take(key string) ([]*os.File, error) {
	_, files, err := c.Do(wire.Request{Op: wire.OpTake, Key: key}, nil)
	var refused *wire.Error
	if errors.As(err, &refused) && refused.Code == wire.CodeNotFound {
		return nil, nil
	}
	return files, err
}

// Drop makes keep close what it holds under key.
func (c *Client) Drop(key string) error {
	_, _, err := c.Do(wire.Request{Op: wire.OpDrop, Key: key}, nil)
	return err
}

// Holds lists what keep holds.
func (c *Client) Holds() ([]wire.Hold, error) {
	a, _, err := c.Do(wire.Request{Op: wire.OpHolds}, nil)
	return a.Holds, err
}

// Forget makes keep drop the exit record of id.
func (c *Client) Forget(id proc.ID) error {
	_, _, err := c.Do(wire.Request{Op: wire.OpForget, PID: id.PID, StartTime: id.StartTime}, nil)
	return err
}

// Start makes keep run a service and says whether it ran already.
func (c *Client) Start(s wire.Service) (bool, error) {
	a, _, err := c.Do(wire.Request{Op: wire.OpStart, Service: &s}, nil)
	return a.Existing, err
}

// Stop makes keep end a service and forget it.
func (c *Client) Stop(name string, grace time.Duration) error {
	_, _, err := c.Do(wire.Request{Op: wire.OpStop, Name: name, GraceMillis: grace.Milliseconds()}, nil)
	return err
}

// List returns the services.
func (c *Client) List() ([]wire.Status, error) {
	a, _, err := c.Do(wire.Request{Op: wire.OpList}, nil)
	return a.Services, err
}

// Exits calls on for every exit record, and synced when those that existed
// have been seen. It blocks until ctx ends or the connection breaks.
func (c *Client) Exits(ctx context.Context, on func(wire.Exit), synced func()) error {
	conn, err := dial(c.path)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Sock().Close() })
	defer stop()
	if _, _, err := exchange(conn, wire.Request{Op: wire.OpExits}, nil); err != nil {
		return err
	}
	for {
		a, err := readAnswer(conn)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil:
			return err
		case a.Exit != nil:
			on(*a.Exit)
		case a.Sync:
			synced()
		}
	}
}
