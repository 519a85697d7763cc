package pushers

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// Exchange is one request of a client, and what it was answered.
type Exchange struct {
	ID     int64 // ascending in a connection
	At     time.Time
	Method string
	Path   string // below the tenant URL: "/Users/…"
	Query  string // as it came; masked once it is kept
	Status int
	Took   time.Duration
	Client string // User-Agent: a stranger wrote it
	Remote string // the address it came from
	// Request and Answer are the bodies as they came and went; masked and cut once
	// they are kept.
	Request, Answer string
	Token           string // its ID; "" where none was valid
	Mode            Mode   // how it is to be masked; "" is Masked. Not kept
}

const (
	// MostKept is how many exchanges of a connection are kept.
	MostKept = 500
	// MostBody is how much of a body is kept, in bytes.
	MostBody = 16 << 10

	mostRead  = 4 * MostBody // of a body, before it is masked
	mostField = 500
	// RefusedEvery is how often a request is logged that was not let in.
	RefusedEvery = 5 * time.Second
	// FlushEvery is how often a part that runs beside the requests writes the log.
	FlushEvery = time.Second
)

// Log takes an exchange into the log of a connection. It keeps nobody waiting: what
// it is given is masked and written by Flush, within FlushEvery where Run runs.
func (s *Pushers) Log(connection string, e Exchange) {
	if e.At.IsZero() {
		e.At = s.now()
	}
	e.Request, e.Answer = head(e.Request, mostRead), head(e.Answer, mostRead)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = map[string][]Exchange{}
	}
	w := append(s.waiting[connection], e)
	if len(w) >= 2*MostKept { // more than are kept are not written either
		w = slices.Clone(w[len(w)-MostKept:])
	}
	s.waiting[connection] = w
}

// LogRefused takes a request into the log that was not let in: whoever gave the client
// a wrong token sees it come. Strangers make such requests as well, so it keeps neither
// query nor bodies, and one in RefusedEvery at the most: nobody empties a log with them.
func (s *Pushers) LogRefused(connection string, e Exchange) {
	now := s.now()
	s.mu.Lock()
	if s.refused == nil {
		s.refused = map[string]time.Time{}
	}
	for c, at := range s.refused {
		if now.Sub(at) >= RefusedEvery {
			delete(s.refused, c)
		}
	}
	_, lately := s.refused[connection]
	if !lately {
		s.refused[connection] = now
	}
	s.mu.Unlock()
	if !lately {
		e.Query, e.Request, e.Answer = "", "", ""
		s.Log(connection, e)
	}
}

// head is the beginning of a text, in a memory of its own where it was cut.
func head(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.Clone(s[:most])
}

// Run writes the log until ctx ends, and what is left of it then. failed is told what
// could not be written, and is called by nobody else meanwhile.
func (s *Pushers) Run(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := s.Flush(context.WithoutCancel(ctx)); err != nil {
				failed(err)
			}
			return
		case <-tick.C:
			if err := s.Flush(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// Flush masks and writes what was logged since the last time. What cannot be written
// is lost: it is a help for people, and no memory grows on account of it.
func (s *Pushers) Flush(ctx context.Context) error {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	var errs []error
	for connection, list := range waiting {
		list = list[max(0, len(list)-MostKept):]
		for i := range list {
			list[i].mask()
		}
		errs = append(errs, s.write(ctx, connection, list))
	}
	return errors.Join(errs...)
}

func (e *Exchange) mask() {
	e.Query = MaskQuery(e.Query, e.Mode)
	e.Request, e.Answer = Mask([]byte(e.Request), e.Mode), Mask([]byte(e.Answer), e.Mode)
	for _, field := range []*string{&e.Method, &e.Path, &e.Query, &e.Client, &e.Remote} {
		*field = clean(head(*field, mostField))
	}
}

// clean leaves out what a text of a database cannot hold.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func (s *Pushers) write(ctx context.Context, connection string, list []Exchange) error {
	organization, err := s.organization(ctx, connection)
	if kind := fault.KindOf(err); err != nil && (kind == fault.NotFound || kind == fault.Conflict) {
		return nil // it was taken away meanwhile
	}
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := alone(ctx, tx, connection, organization); err != nil {
			return err
		}
		var last int64
		if err := tx.QueryRowContext(ctx, `UPDATE pushers SET logged = logged + $2 WHERE connection = $1 RETURNING logged`, connection, len(list)).Scan(&last); err != nil {
			return db.Explain("number requests", err)
		}
		first := last - int64(len(list)) + 1
		err := tx.Insert(ctx, "pusher_log", []string{"connection", "id", "at", "method", "path", "query", "status", "took", "client", "remote", "request", "answer", "token"}, len(list), func(i int, into []any) {
			e := &list[i]
			copy(into, []any{connection, first + int64(i), db.Micros(e.At), e.Method, e.Path, e.Query, int64(e.Status), e.Took.Microseconds(), e.Client, e.Remote, e.Request, e.Answer, e.Token})
		}, "")
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM pusher_log WHERE connection = $1 AND id <= $2`, connection, last-MostKept)
		return err
	})
}

// Filter chooses among exchanges.
type Filter struct {
	Failed bool // answered with a status of 400 and above
}

const logged = `SELECT id, at, method, path, query, status, took, client, remote, request, answer, token FROM pusher_log WHERE connection = $1 `

func scanExchange(row interface{ Scan(...any) error }) (Exchange, error) {
	var e Exchange
	var at, took int64
	err := row.Scan(&e.ID, &at, &e.Method, &e.Path, &e.Query, &e.Status, &took, &e.Client, &e.Remote, &e.Request, &e.Answer, &e.Token)
	e.At, e.Took = db.Time(at), time.Duration(took)*time.Microsecond
	return e, err
}

// Exchanges gives the last exchanges of a connection, the newest first: those before
// one (0 for all), at most limit.
func (s *Pushers) Exchanges(ctx context.Context, connection string, f Filter, before int64, limit int) ([]Exchange, error) {
	if _, err := s.organization(ctx, connection); err != nil {
		return nil, err
	}
	out := []Exchange{}
	err := db.Each(ctx, s.DB.Reader(), logged+`AND ($2 = 0 OR id < $2) AND (status >= 400 OR NOT $3) ORDER BY id DESC LIMIT $4`, []any{connection, before, f.Failed, limit}, func(rows *sql.Rows) error {
		e, err := scanExchange(rows)
		out = append(out, e)
		return err
	})
	return out, err
}

// OneExchange gives one of them; a fault.NotFound where it is no longer kept.
func (s *Pushers) OneExchange(ctx context.Context, connection string, id int64) (Exchange, error) {
	if _, err := s.organization(ctx, connection); err != nil {
		return Exchange{}, err
	}
	e, err := scanExchange(s.DB.Reader().QueryRowContext(ctx, logged+`AND id = $2`, connection, id))
	if errors.Is(err, sql.ErrNoRows) {
		return e, fault.New(fault.NotFound, "there is no request %d of connection %s", id, connection).WithHint("the last %d are kept", MostKept)
	}
	return e, db.Explain("read the request", err)
}
