package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// message is one server-sent event.
type message struct {
	Name string
	ID   string
	Data []byte
}

// stream reads server-sent events (HTML, section 9.2.6): what the API sends of
// it, with lines that end in any of the three ways.
func stream(r io.Reader, fn func(message) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var m message
	var data bool
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF // an event says when it is over; the line does not
			}
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			if data {
				if err := fn(m); err != nil {
					return err
				}
			}
			m, data = message{}, false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			m.Name = value
		case "id":
			m.ID = value
		case "data":
			if data {
				m.Data = append(m.Data, '\n')
			}
			m.Data, data = append(m.Data, value...), true
		}
	}
}

// errDone ends a stream whose last event has come.
var errDone = errors.New("done")

// listen makes a request for a stream. fn returns errDone when it has all it
// wants; a problem in the stream is the error.
func (c *Client) listen(ctx context.Context, r call, fn func(message) error) error {
	r.accept = "text/event-stream"
	answer, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	err = stream(answer.Body, func(m message) error {
		if m.Name != "problem" {
			return fn(m)
		}
		p := &Problem{}
		if err := json.Unmarshal(m.Data, p); err != nil {
			return err
		}
		return p
	})
	if errors.Is(err, errDone) {
		return nil
	}
	var p *Problem
	if errors.As(err, &p) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("client: %s %s: the stream broke off: %w", r.method, r.path, err)
}

// decode is what most events are for.
func decode[T any](m message, fn func(T)) error {
	var v T
	if err := json.Unmarshal(m.Data, &v); err != nil {
		return err
	}
	if fn != nil {
		fn(v)
	}
	return nil
}

// Wait follows a run to its end and gives it as it ended. progress is told where
// it stands whenever that changes; it may be nil. A stream that breaks off is
// taken up again.
func (c *Client) Wait(ctx context.Context, run string, progress func(Progress)) (Run, error) {
	var ended Run
	path := "/runs/" + part(run) + "/progress"
	for try := 1; ; try++ {
		err := c.listen(ctx, call{method: http.MethodGet, path: path}, func(m message) error {
			try = 1
			switch m.Name {
			case "progress":
				return decode(m, progress)
			case "end":
				if err := decode(m, func(r Run) { ended = r }); err != nil {
					return err
				}
				return errDone
			}
			return nil
		})
		var p *Problem
		if err == nil || ctx.Err() != nil || try >= c.tries || errors.As(err, &p) && p.Status != http.StatusServiceUnavailable {
			return ended, err
		}
		if err := c.sleep(ctx, pause); err != nil {
			return ended, err
		}
	}
}

// pause is how long to wait before a stream is taken up again.
const pause = time.Second
