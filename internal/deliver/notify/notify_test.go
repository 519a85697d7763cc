package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/notices"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// letter is a mail as a person gets it.
type letter struct {
	from       string
	to         []string
	header     mail.Header
	text, html string
}

// office is a mail server on loopback.
type office struct {
	t       *testing.T
	mu      sync.Mutex
	letters []letter
	refuses error // every mail, while it is set
	user    string
	secured bool // the last session spoke TLS
	addr    *net.TCPAddr
}

func (o *office) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{o: o, c: c}, nil }

type session struct {
	o    *office
	c    *smtp.Conn
	mail letter
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "rollcall" || password != "s3cret" {
			return smtp.ErrAuthFailed
		}
		s.o.mu.Lock()
		defer s.o.mu.Unlock()
		s.o.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.mail.from = from
	_, secured := s.c.TLSConnectionState()
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	s.o.secured = secured
	return s.o.refuses
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	l, err := open(r)
	if err != nil {
		s.o.t.Error(err)
		return err
	}
	l.from, l.to = s.mail.from, s.mail.to
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	s.o.letters = append(s.o.letters, l)
	return nil
}

func (s *session) Reset()        { s.mail = letter{} }
func (s *session) Logout() error { return nil }

// open reads a mail as a mail program does: plain text first, HTML after it.
func open(r io.Reader) (letter, error) {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return letter{}, err
	}
	l := letter{header: m.Header}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return l, fmt.Errorf("it is %s, %w", kind, errors.Join(err, errors.ErrUnsupported))
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []struct {
		kind string
		into *string
	}{{"text/plain", &l.text}, {"text/html", &l.html}} {
		p, err := parts.NextRawPart()
		if err != nil {
			return l, err
		}
		kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil || kind != want.kind || !strings.EqualFold(params["charset"], "utf-8") {
			return l, fmt.Errorf("a part is %s in %s, not %s: %w", kind, params["charset"], want.kind, errors.Join(err, errors.ErrUnsupported))
		}
		body := io.Reader(p)
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(p)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			return l, err
		}
		*want.into = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	return l, nil
}

// start serves mail on loopback, with STARTTLS, or TLS from the first byte on, or
// neither. ca is the file of its certificate.
func start(t *testing.T, how string) (o *office, ca string) {
	t.Helper()
	o = &office{t: t}
	// The certificate of Go's own test servers is good for 127.0.0.1 and example.com.
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	config := web.TLS.Clone()
	config.NextProtos = nil
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pemOf(web.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	web.Close()
	s := smtp.NewServer(o)
	s.Domain = "mail.example.com"
	s.ErrorLog = quiet{}
	s.AllowInsecureAuth = false
	if how != setting.SMTPNone {
		s.TLSConfig = config
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.addr = l.Addr().(*net.TCPAddr)
	if how == setting.SMTPTLS {
		l = tlsListener(l, config)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return o, ca
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (o *office) settings(how, ca string) setting.Notifications {
	return setting.Notifications{From: "Rollcall <rollcall@example.com>", To: []string{"ops@example.com", "Zoë <zoe@example.com>"},
		SMTP: setting.SMTP{Host: "127.0.0.1", Port: o.addr.Port, TLS: how, Username: "rollcall", Password: "s3cret", CAFile: ca, ServerName: "example.com"}}
}

func (o *office) take() []letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.letters
	o.letters = nil
	return out
}

// house is an installation with one organization, a feed and a clock.
type house struct {
	*testing.T
	db    *db.DB
	table *notices.Notices
	clock time.Time
	sent  *Notifier
}

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	begin := func(t *testing.T, dsn string) {
		d := databases.Open(t, dsn)
		h := &house{T: t, db: d, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
		h.table = &notices.Notices{DB: d, Now: h.now}
		h.exec(`INSERT INTO organizations (id, name, licence_limit, created_at) VALUES ('sunfix', 'Sunfix', 0, 0)`)
		fn(h)
	}
	databases.Both(t, func(t *testing.T, dsn string) {
		begin(t, dsn)
	})
}

func (h *house) now() time.Time { return h.clock }

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) exec(query string, args ...any) {
	h.Helper()
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(h.Context(), query, args...)
		return err
	}))
}

func (h *house) notifier(s setting.Notifications) {
	h.Helper()
	var err error
	h.sent, err = New(h.table, s, "https://rollcall.example.com/", slog.New(slog.DiscardHandler), h.now)
	h.must(err)
}

// tell writes an event about connection hq.
func (h *house) tell(t event.Type, why string, sides ...string) {
	h.Helper()
	hq := "hq"
	e := event.Event{Type: t, Organization: "sunfix", Connection: &hq, At: h.clock, Actor: "sync", Why: why}
	if t == event.WebhookDisabled || t == event.WebhookUpdated || t == event.WebhookDeleted {
		e.Connection = nil
	}
	if len(sides) > 0 {
		e.Before, e.After = json.RawMessage(sides[0]), json.RawMessage(sides[0])
	}
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error { return events.Record(h.Context(), tx, e) }))
}

func (h *house) step() {
	h.Helper()
	for {
		worked, _, err := h.sent.Step(h.Context())
		h.must(err)
		if !worked {
			return
		}
	}
}

// subjects are those of the mails that came, after the clock went on.
func (h *house) subjects(o *office) string {
	h.Helper()
	h.step()
	h.clock = h.clock.Add(40 * time.Minute)
	var out []string
	for _, l := range o.take() {
		subject, err := new(mime.WordDecoder).DecodeHeader(l.header.Get("Subject"))
		h.must(err)
		out = append(out, strings.TrimPrefix(subject, "[Rollcall] "))
	}
	slices.Sort(out)
	return strings.Join(out, " | ")
}

func TestAMailArrivesWholeByEachWay(t *testing.T) {
	for _, how := range []string{setting.SMTPStartTLS, setting.SMTPTLS, setting.SMTPNone} {
		t.Run(how, func(t *testing.T) {
			both(t, func(h *house) {
				o, ca := start(h.T, how)
				h.notifier(o.settings(how, ca))
				why := `ldap: bind "cn=Größe,dc=example": <b>invalid credentials</b> ` + strings.Repeat("long ", 300) + "\n.\nend"
				h.tell(event.RunFailed, why)
				h.step()
				letters := o.take()
				if len(letters) != 1 {
					h.Fatalf("%d mails", len(letters))
				}
				l := letters[0]
				if l.from != "rollcall@example.com" || !slices.Equal(l.to, []string{"ops@example.com", "zoe@example.com"}) {
					h.Errorf("from %s to %s", l.from, l.to)
				}
				if !strings.Contains(l.text, why) || !strings.Contains(l.text, "Connection: hq\nOrganization: sunfix\nSince: 2026-03-01 09:00 UTC\n") || !strings.Contains(l.text, "https://rollcall.example.com\n") {
					h.Errorf("the text is\n%s", l.text)
				}
				if !strings.Contains(l.html, "&lt;b&gt;invalid credentials&lt;/b&gt;") || strings.Contains(l.html, "<b>") || !strings.Contains(l.html, "Größe") {
					h.Errorf("the HTML is\n%s", l.html)
				}
				at, err := l.header.Date()
				if id := l.header.Get("Message-ID"); err != nil || !at.Equal(h.clock) || !strings.HasSuffix(id, "@example.com>") || l.header.Get("Auto-Submitted") != "auto-generated" || l.header.Get("Subject") != "[Rollcall] hq: a run failed" {
					h.Errorf("%v, %v", l.header, err)
				}
				if (o.user == "rollcall") != (how != setting.SMTPNone) || o.secured != (how != setting.SMTPNone) {
					h.Errorf("signed in as %q, TLS %v", o.user, o.secured)
				}
			})
		})
	}
}

func TestAServerThatCannotBeTrustedGetsNothing(t *testing.T) {
	both(t, func(h *house) {
		plain, ca := start(h.T, setting.SMTPNone)
		secure, _ := start(h.T, setting.SMTPStartTLS)
		for name, c := range map[string]struct {
			o      *office
			change func(*setting.Notifications)
			want   string
		}{
			"no STARTTLS":            {plain, func(*setting.Notifications) {}, "STARTTLS"},
			"TLS it does not speak":  {plain, func(s *setting.Notifications) { s.SMTP.TLS = setting.SMTPTLS }, "TLS"},
			"an unknown certificate": {secure, func(s *setting.Notifications) { s.SMTP.CAFile = "" }, "certificate"},
			"another name":           {secure, func(s *setting.Notifications) { s.SMTP.ServerName = "other.example" }, "other.example"},
			"a wrong password":       {secure, func(s *setting.Notifications) { s.SMTP.Password = "hunter2" }, "uthentication"},
		} {
			s := c.o.settings(setting.SMTPStartTLS, ca)
			c.change(&s)
			n, err := New(h.table, s, "", slog.New(slog.DiscardHandler), h.now)
			h.must(err)
			err = n.mailer.send(h.Context(), []*notices.Message{{Notice: notices.Notice{ID: "n1", Reason: notices.RunFailed}}}, s.To, "operator")
			if fault.KindOf(err) != fault.Unavailable || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "s3cret") {
				h.Errorf("%s: %v", name, err)
			}
			if l := c.o.take(); len(l) > 0 || c.o.user != "" {
				h.Errorf("%s: %d mails, signed in as %q", name, len(l), c.o.user)
			}
		}
		if _, err := New(h.table, setting.Notifications{From: "a@b.c", SMTP: setting.SMTP{Host: "x", CAFile: "nowhere.pem"}}, "", nil, h.now); fault.KindOf(err) != fault.Invalid {
			h.Error(err)
		}
	})
}

// Each reason once, and not every 40 minutes.
func TestAReasonIsToldOnceUntilItEnds(t *testing.T) {
	both(t, func(h *house) {
		o, ca := start(h.T, setting.SMTPStartTLS)
		h.notifier(o.settings(setting.SMTPStartTLS, ca))
		retry := `{"failures":3,"retry_at":"2026-03-01T12:00:00Z"}`
		for i, c := range []struct {
			event      event.Type
			why, sides string
			want       string
		}{
			{event.RunFailed, "ldap: connect dc1 after 31 ms: refused", "", "hq: a run failed"},
			{event.RunFailed, "ldap: connect dc1 after 7 ms: refused", "", ""},
			{event.RunFailed, "ldap: connect dc1 after 7 ms: refused", "", ""},
			{event.RunFailed, "ldap: bind: wrong password", "", "hq: a run failed"},
			{event.RunFailed, "ldap: connect dc1 after 9 ms: refused", "", ""}, // they had that
			{event.ConnectionQuarantined, "refused", retry, "hq: a connection is in quarantine"},
			{event.RunFailed, "ldap: bind: wrong password", "", ""},
			{event.ConnectionQuarantined, "refused", retry, ""},
			{event.RunApplied, "", "", "hq: runs end well again"},
			{event.ConnectionRecovered, "", "", "hq: a connection left quarantine"},
			{event.RunApplied, "", "", ""},
			{event.RunFailed, "ldap: connect dc1 after 31 ms: refused", "", "hq: a run failed"}, // it came back
			{event.RunHeld, "312 accounts would be disabled, more than 20 %", "", "hq: a plan waits for a person | hq: runs end well again"},
			{event.RunHeld, "313 accounts would be disabled, more than 20 %", "", ""},
			{event.RunHeld, "the licence is full", "", "hq: a plan waits for a person"},
			{event.PlanApproved, "", "", ""},
			{event.RunHeld, engine.HeldByDryRun, "", ""},
			{event.AccountCreated, "", "", ""},
			{event.WebhookDisabled, "410", `{"webhook":"wh_1","host":"https://a.example","enabled":false}`, "sunfix: a webhook was disabled"},
			{event.WebhookUpdated, "", `{"webhook":"wh_2","enabled":true}`, ""},
			{event.WebhookUpdated, "", `{"webhook":"wh_1","description":"x"}`, ""},
			{event.WebhookUpdated, "", `{"webhook":"wh_1","enabled":true}`, "sunfix: a webhook is enabled again"},
			{event.WebhookDisabled, "410", `{"webhook":"wh_1"}`, "sunfix: a webhook was disabled"},
			{event.WebhookDeleted, "", `{"webhook":"wh_1"}`, ""},
			{event.RunFailed, "x", "", "hq: a run failed"},
			{event.ConnectionDeleted, "", "", ""},
			{event.RunFailed, "x", "", "hq: a run failed"},
		} {
			var sides []string
			if c.sides != "" {
				sides = []string{c.sides}
			}
			h.tell(c.event, c.why, sides...)
			if got := h.subjects(o); got != c.want {
				h.Errorf("%d. %s (%s): told %q, want %q", i+1, c.event, c.why, got, c.want)
			}
		}
		list, err := h.table.List(h.Context(), "sunfix", true, 100)
		if err != nil || len(list) != 1 || list[0].Reason != notices.RunFailed || list[0].SentAt == nil {
			h.Errorf("%+v, %v", list, err)
		}
		if list, err = h.table.List(h.Context(), "moonfix", false, 100); err != nil || len(list) != 0 {
			h.Errorf("another organization sees %+v, %v", list, err)
		}
		h.clock = h.clock.Add(24 * time.Hour)
		if more, err := h.table.Prune(h.Context(), h.clock); err != nil || more {
			h.Errorf("%v, %v", more, err)
		}
		if list, err = h.table.List(h.Context(), "", false, 100); err != nil || len(list) != 1 {
			h.Errorf("%d are left, %v", len(list), err)
		}
	})
}

func TestWhatNoEventTellsOfIsCounted(t *testing.T) {
	both(t, func(h *house) {
		o, ca := start(h.T, setting.SMTPStartTLS)
		s := o.settings(setting.SMTPStartTLS, ca)
		s.To = []string{"ops@example.com"}
		h.notifier(s)
		h.exec(`INSERT INTO tallies (organization, connection, here, active, changed_at) VALUES ('sunfix', 'hq', 0, 0, 0), ('sunfix', 'b', 0, 0, 0)`)
		for i, c := range []struct {
			limit, active int
			want          string
		}{
			{0, 500, ""}, {100, 40, ""}, {100, 44, ""}, {100, 45, "sunfix: a licence is nearly used up"}, {100, 46, ""}, {100, 50, "sunfix: a licence is used up"}, {100, 55, ""},
			{100, 49, ""}, {100, 44, ""}, {100, 45, ""}, {100, 43, "sunfix: a licence has room again"}, {100, 45, "sunfix: a licence is nearly used up"}, {0, 45, "sunfix: a licence has room again"},
		} {
			h.exec(`UPDATE organizations SET licence_limit = $1`, c.limit)
			h.exec(`UPDATE tallies SET active = $1`, c.active)
			if got := h.subjects(o); got != c.want {
				h.Errorf("%d. %d of %d: told %q, want %q", i+1, 2*c.active, c.limit, got, c.want)
			}
		}
		ends := h.clock.Add(100 * 24 * time.Hour)
		expires := func(secret time.Time) {
			h.Helper()
			list := map[string]time.Time{"certificate": ends.Add(1000 * 24 * time.Hour)}
			if !secret.IsZero() {
				list["client secret"] = secret
			}
			h.must(h.table.Expires(h.Context(), "sunfix", "hq", list, nil, true))
		}
		expires(ends)
		told := map[int]string{}
		for day := range 103 {
			before := h.clock
			for range 3 {
				if got := h.subjects(o); got != "" {
					told[100-day] += got
				}
			}
			h.clock = before.Add(24 * time.Hour)
		}
		want := "hq: a credential runs out"
		if fmt.Sprint(told) != fmt.Sprint(map[int]string{60: want, 30: want, 7: want, 1: want, 0: want}) {
			h.Errorf("%v", told)
		}
		expires(h.clock.Add(365 * 24 * time.Hour))
		if got := h.subjects(o); got != "hq: a credential was renewed" {
			h.Error(got)
		}
		expires(h.clock.Add(24 * time.Hour))
		if got := h.subjects(o); got != want {
			h.Error(got)
		}
		expires(time.Time{})
		if got := h.subjects(o); got != "" {
			h.Error(got)
		}
	})
}

func TestWhoIsToldAndByWhichWays(t *testing.T) {
	both(t, func(h *house) {
		o, ca := start(h.T, setting.SMTPStartTLS)
		type called struct {
			kind, title string
			id          string
		}
		var mu sync.Mutex
		var calls []called
		status := http.StatusOK
		secret := "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
		verifier, err := standardwebhooks.NewWebhook(secret)
		h.must(err)
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			b, err := io.ReadAll(r.Body)
			if err != nil {
				h.Error(err)
			}
			// The clock of the house stands still; a verifier compares it with the world's.
			if at, err := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64); err != nil || at != h.clock.Unix() {
				h.Errorf("at %d, %v", at, err)
			}
			if err := verifier.VerifyIgnoringTimestamp(b, r.Header); err != nil {
				h.Error(err)
			}
			var got struct {
				Type string
				Data struct{ Title, Organization, Connection, Text string }
			}
			if err := json.Unmarshal(b, &got); err != nil || got.Data.Connection != "hq" || got.Data.Organization != "sunfix" {
				h.Errorf("%s, %v", b, err)
			}
			if status == http.StatusOK {
				calls = append(calls, called{got.Type, got.Data.Title, r.Header.Get("Webhook-Id")})
			}
			w.WriteHeader(status)
		}))
		h.Cleanup(web.Close)
		s := o.settings(setting.SMTPStartTLS, ca)
		s.Organizations = map[string][]string{"sunfix": {"it@sunfix.com"}, "moonfix": {"it@moonfix.com"}}
		s.Webhook = setting.NotificationWebhook{URL: web.URL + "/x?token=s3cret", Secret: secret}
		h.notifier(s)
		// One way fails: the others are not told twice.
		status = http.StatusBadGateway
		h.tell(event.RunFailed, "refused")
		h.step()
		if l := o.take(); len(l) != 2 || !slices.Equal(l[1].to, []string{"it@sunfix.com"}) || l[0].header.Get("Message-ID") == l[1].header.Get("Message-ID") {
			h.Errorf("%+v", l)
		}
		list, err := h.table.List(h.Context(), "", true, 10)
		if err != nil || list[0].Error == nil || !strings.Contains(*list[0].Error, "it answered 502") || strings.Contains(*list[0].Error, "token") || list[0].SentAt != nil {
			h.Errorf("%+v, %v", list, err)
		}
		status = http.StatusOK
		h.clock = h.clock.Add(time.Minute)
		h.step()
		h.clock = h.clock.Add(time.Minute)
		h.tell(event.RunApplied, "")
		h.step()
		if l := o.take(); len(l) != 2 || l[0].header.Get("In-Reply-To") == "" {
			h.Errorf("%+v", l)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(calls) != 2 || calls[0].kind != "notice.run_failed" || calls[1].kind != "notice.run_failed.ended" || calls[1].title != "Runs end well again" || calls[0].id == calls[1].id || strings.Contains(calls[0].id, ".") {
			h.Errorf("%+v", calls)
		}
	})
}

func TestAMailServerThatIsAwayIsTriedAgain(t *testing.T) {
	both(t, func(h *house) {
		o, ca := start(h.T, setting.SMTPStartTLS)
		h.notifier(o.settings(setting.SMTPStartTLS, ca))
		o.refuses = &smtp.SMTPError{Code: 451, Message: "later"}
		h.tell(event.RunFailed, "refused")
		tries := 0
		for range 10 {
			h.step()
			list, err := h.table.List(h.Context(), "", true, 10)
			h.must(err)
			if list[0].Error != nil && strings.Contains(*list[0].Error, "451") {
				tries++
			}
			h.clock = h.clock.Add(10 * time.Minute)
		}
		if tries != 10 || len(o.take()) != 0 {
			h.Errorf("%d", tries)
		}
		o.mu.Lock()
		o.refuses = nil
		o.mu.Unlock()
		h.clock = h.clock.Add(6 * time.Hour)
		if got := h.subjects(o); got != "hq: a run failed" {
			h.Error(got)
		}
		// What ended before anybody was told is told to nobody.
		o.mu.Lock()
		o.refuses = &smtp.SMTPError{Code: 451, Message: "later"}
		o.mu.Unlock()
		h.tell(event.ConnectionQuarantined, "refused")
		h.step()
		h.tell(event.ConnectionRecovered, "")
		o.mu.Lock()
		o.refuses = nil
		o.mu.Unlock()
		h.clock = h.clock.Add(24 * time.Hour)
		if got := h.subjects(o); got != "" {
			h.Error(got)
		}
	})
}

func TestWithoutAWayToTellNoticesAreKeptForTheConsole(t *testing.T) {
	both(t, func(h *house) {
		h.notifier(setting.Notifications{})
		h.tell(event.RunFailed, "refused")
		h.step()
		list, err := h.table.List(h.Context(), "", true, 10)
		if err != nil || len(list) != 1 || list[0].SentAt != nil || list[0].Text != "refused" {
			h.Errorf("%+v, %v", list, err)
		}
	})
}

// A network goes down, and every connection with it: nobody reads a mail for each.
func TestManyAtOnceComeInOneMail(t *testing.T) {
	both(t, func(h *house) {
		o, ca := start(h.T, setting.SMTPStartTLS)
		s := o.settings(setting.SMTPStartTLS, ca)
		s.Organizations = map[string][]string{"sunfix": {"it@sunfix.com"}}
		calls := 0
		web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
		h.Cleanup(web.Close)
		s.Webhook = setting.NotificationWebhook{URL: web.URL, Secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}
		h.notifier(s)
		many := func(t event.Type) {
			h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
				var list []event.Event
				for i := range 300 {
					alias, organization := fmt.Sprintf("c%03d", i), "moonfix"
					if i < 3 {
						organization = "sunfix"
					}
					list = append(list, event.Event{Type: t, Organization: organization, Connection: &alias, At: h.clock, Why: "ldap: connect: <no> route to host\nmore"})
				}
				return events.Append(h.Context(), tx, list)
			}))
			h.step()
		}
		many(event.RunFailed)
		l := o.take()
		if len(l) != 4 || calls != 300 {
			h.Fatalf("%d mails, %d calls", len(l), calls)
		}
		if l[0].header.Get("Subject") != "[Rollcall] 300 things need somebody" || !strings.Contains(l[0].text, "c007: a run failed: ldap: connect: <no> route to host\n") ||
			!strings.Contains(l[0].text, "and 100 more\n") || !strings.Contains(l[0].html, "&lt;no&gt;") {
			h.Errorf("%v\n%s", l[0].header, l[0].text)
		}
		if l[1].header.Get("Subject") != "[Rollcall] c000: a run failed" || l[1].to[0] != "it@sunfix.com" {
			h.Errorf("%v", l[1].header)
		}
		h.clock = h.clock.Add(time.Hour)
		many(event.RunApplied)
		if l = o.take(); len(l) != 4 || l[0].header.Get("Subject") != "[Rollcall] 300 things are well again" {
			h.Errorf("%d mails", len(l))
		}
	})
}

// A webhook that is away is not waited for again and again.
func TestAWayThatIsAwayIsLeftForLater(t *testing.T) {
	both(t, func(h *house) {
		calls := 0
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			w.WriteHeader(http.StatusBadGateway)
		}))
		h.Cleanup(web.Close)
		h.notifier(setting.Notifications{Webhook: setting.NotificationWebhook{URL: web.URL, Secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}})
		ends := map[string]time.Time{}
		for i := range 30 {
			ends[fmt.Sprint("secret ", i)] = h.clock.Add(time.Hour)
		}
		h.must(h.table.Expires(h.Context(), "sunfix", "hq", ends, nil, true))
		h.step()
		if calls != 2 {
			h.Errorf("%d calls", calls)
		}
		list, err := h.table.List(h.Context(), "", true, 100)
		if err != nil || len(list) != 30 || list[29].Error == nil {
			h.Errorf("%d, %v", len(list), err)
		}
	})
}

func TestTwoNotifiersTellOnce(t *testing.T) {
	both(t, func(h *house) {
		o, ca := start(h.T, setting.SMTPStartTLS)
		s := o.settings(setting.SMTPStartTLS, ca)
		ends := map[string]time.Time{}
		for i := range 10 {
			ends[fmt.Sprint("secret ", i)] = h.clock.Add(time.Hour)
		}
		h.must(h.table.Expires(h.Context(), "sunfix", "hq", ends, nil, true))
		var wait sync.WaitGroup
		for range 3 {
			n, err := New(h.table, s, "", slog.New(slog.DiscardHandler), h.now)
			h.must(err)
			wait.Go(func() {
				for range 5 {
					if _, _, err := n.Step(h.Context()); err != nil {
						h.Error(err)
					}
				}
			})
		}
		wait.Wait()
		l := o.take() // one node may take all ten, which come together, or each some
		told := 0
		for _, one := range l {
			told += strings.Count(one.text, "Its secret ")
		}
		if told != 10 {
			h.Errorf("told of %d in %d mails", told, len(l))
		}
	})
}
