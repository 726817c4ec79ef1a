// Package images manages the images of a node through the runtime's own
// socket: what CRI has no word for (imports), and the rest beside it.
package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/knarr-io/knarr/internal/base/remedy"
)

// Image is an image of the node.
type Image struct {
	ID      string    `json:"id"`
	Names   []string  `json:"names"`
	Digests []string  `json:"digests"`
	Size    int64     `json:"size"` // bytes
	Created time.Time `json:"created"`
}

// Imported is an image that an import brought.
type Imported struct {
	ID    string   `json:"id"`
	Names []string `json:"names"`
}

// Client asks the runtime behind a socket. It is safe for concurrent use.
type Client struct{ http *http.Client }

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 16 << 20

// New makes a client of the runtime's admin socket.
func New(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// List lists all images.
func (c *Client) List(ctx context.Context) (out []Image, err error) {
	return out, c.do(ctx, http.MethodGet, "/v1/images", nil, &out)
}

// Import reads an archive, as docker save or an OCI layout in a tar makes it,
// gzipped or not. name overrides the name that the archive gives.
func (c *Client) Import(ctx context.Context, archive io.Reader, name string) (out []Imported, err error) {
	query := url.Values{}
	if name != "" {
		query.Set("name", name)
	}
	return out, c.do(ctx, http.MethodPost, "/v1/images/import?"+query.Encode(), archive, &out)
}

// Pull pulls an image from its registry.
func (c *Client) Pull(ctx context.Context, name string) (out Imported, err error) {
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return Imported{}, err
	}
	return out, c.do(ctx, http.MethodPost, "/v1/images/pull", strings.NewReader(string(body)), &out)
}

// Export writes images as one archive that Import reads, also docker load. After
// an error what was written is not whole.
func (c *Client) Export(ctx context.Context, w io.Writer, names ...string) error {
	res, err := c.send(ctx, http.MethodGet, "/v1/images/export?"+url.Values{"name": names}.Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("the archive broke off: %w", err)
	}
	return nil
}

// Remove forgets a name, and the image with its last one.
func (c *Client) Remove(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/images?"+url.Values{"name": {name}}.Encode(), nil, nil)
}

// send asks the runtime. Its refusals are errors; the answer's body is the caller's.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://runtime"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, remedy.For(fmt.Errorf("the runtime does not answer: %w", op.Err), "bring the cluster up with `knarr up`, and run this as root")
		}
		return nil, fmt.Errorf("ask the runtime: %w", err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the runtime's answer: %w", err)
	}
	return nil, errors.New(message(answer))
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, into any) error {
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the runtime's answer: %w", err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read the runtime's answer: %w", err)
	}
	return nil
}

// message is the error in an answer: its "error" field, or all of it.
func message(answer []byte) string {
	var e struct{ Error string }
	if json.Unmarshal(answer, &e) == nil && e.Error != "" {
		return e.Error
	}
	return strings.TrimSpace(string(answer))
}
