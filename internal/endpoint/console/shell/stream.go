package shell

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
)

// Stream is an answer of server-sent events (HTML Living Standard, section 9.2).
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// Stream begins one. From here on errors have nobody to be told to.
func (q *Ask) Stream() (*Stream, error) {
	q.W.Header().Set("Content-Type", "text/event-stream")
	q.W.Header().Set("X-Accel-Buffering", "no") // proxies would collect what should come at once
	s := &Stream{q.W, http.NewResponseController(q.W)}
	q.answered = true
	q.W.WriteHeader(http.StatusOK)
	if err := s.control.Flush(); err != nil {
		return nil, fault.New(fault.Internal, "console: stream: %w", err)
	}
	return s, nil
}

// Send sends an event. Whoever went away does not get it.
func (s *Stream) Send(name, data string) {
	var b strings.Builder
	b.WriteString("event: " + name + "\n")
	for line := range strings.Lines(data) {
		b.WriteString("data: " + strings.TrimRight(line, "\r\n") + "\n")
	}
	b.WriteString("\n")
	_, _ = io.WriteString(s.w, b.String())
	_ = s.control.Flush()
}

// Export hands an export of the API on as a file to keep. One that breaks off is
// cut off, so that nobody takes it for whole.
func (q *Ask) Export(path string, values url.Values, name string) error {
	body, typ, err := q.API.Download(q.R.Context(), path, values)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // only read
	ending := values.Get("format")
	if ending == "" {
		ending = "csv"
	}
	q.W.Header().Set("Content-Type", typ)
	q.W.Header().Set("Content-Disposition", `attachment; filename="`+name+"-"+q.Now().UTC().Format("2006-01-02")+"."+ending+`"`)
	q.answered = true
	if _, err := io.Copy(q.W, body); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// Part writes one of the shell's parts by itself, for streams.
func (q *Ask) Part(w io.Writer, name string, data any) error {
	return q.shell.pages["shell/problem"].tree.ExecuteTemplate(w, name, data)
}
