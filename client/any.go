package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// Get asks for anything below /api/v1, such as one page of a list:
//
//	page, err := client.Get[client.Page[client.Account]](ctx, c, "/accounts", url.Values{"q": {"ada"}, "limit": {"50"}})
//
// The parts of the path are escaped already. It may be asked again when the line
// breaks.
func Get[T any](ctx context.Context, c *Client, path string, q url.Values) (out T, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: path, query: q}, &out)
	return out, err
}

// Send makes any other request below /api/v1, with a body in JSON or none.
func Send[T any](ctx context.Context, c *Client, method, path string, q url.Values, body any) (out T, err error) {
	err = c.do(ctx, call{method: method, path: path, query: q, body: body}, &out)
	return out, err
}

// Download asks for anything below /api/v1 as it is: an export. The caller closes
// the body; an answer that breaks off ends with an error.
func (c *Client) Download(ctx context.Context, path string, q url.Values) (body io.ReadCloser, contentType string, err error) {
	answer, err := c.send(ctx, call{method: http.MethodGet, path: path, query: q})
	if err != nil {
		return nil, "", err
	}
	return answer.Body, answer.Header.Get("Content-Type"), nil
}
