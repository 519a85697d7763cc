package shell

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// inProcess hands a client's requests to a handler of this process. Answers come
// as they are written, so that streams flow.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "console"
	in.Header.Del("Authorization") // the context says who asks
	if in.Body == nil {
		in.Body = http.NoBody
	}
	body, out := io.Pipe()
	w := &response{header: http.Header{}, out: out, began: make(chan struct{})}
	go func() {
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("console: the API gave up: %v", p)
			}
			w.WriteHeader(http.StatusOK)
			_ = out.CloseWithError(err) //nolint:errcheck // never fails
		}()
		p.handler.ServeHTTP(w, in)
	}()
	select {
	case <-w.began:
	case <-r.Context().Done():
		_ = body.CloseWithError(r.Context().Err()) //nolint:errcheck // never fails
		return nil, r.Context().Err()
	}
	return &http.Response{Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: -1, Request: r}, nil
}

// response is the handler's side.
type response struct {
	header, sent http.Header
	out          *io.PipeWriter
	once         sync.Once
	began        chan struct{}
	status       int
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.began)
	})
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.out.Write(b)
}

// Flush does nothing: whatever is written is there at once.
func (w *response) Flush() { w.WriteHeader(http.StatusOK) }
