package outbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// NewPost makes a POST of JSON within ctx. The body does not leave once leave is over, either.
func NewPost(ctx, leave context.Context, url string, body []byte) (*http.Request, error) {
	guard := func() io.ReadCloser { return &guarded{ctx: leave, left: bytes.NewReader(body)} }
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, guard())
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return guard(), nil }
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "gensyn-monitor")
	return req, nil
}

// guarded is a message that does not leave once a context is over. It asks the context itself, since the end of one
// may be known before any timer tells of it: resolving, connecting and greeting can take long, and the process may
// have been frozen meanwhile.
type guarded struct {
	ctx  context.Context // it is asked, not waited for
	left *bytes.Reader
}

// Read implements io.Reader.
func (g *guarded) Read(p []byte) (int, error) {
	if g.left.Len() > 0 {
		if err := g.ctx.Err(); err != nil {
			return 0, err
		}
	}
	return g.left.Read(p)
}

// Close implements io.Closer.
func (g *guarded) Close() error { return nil }
