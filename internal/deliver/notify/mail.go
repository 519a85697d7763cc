package notify

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net/mail"
	"os"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"rollcall.dev/rollcall/internal/deliver/webhook"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/notices"
)

// mailTime bounds the whole of sending one mail.
const mailTime = 30 * time.Second

// mailer sends mails to one server.
type mailer struct {
	from    string
	domain  string // of message IDs
	link    string
	host    string
	options []gomail.Option
	now     func() time.Time
}

func newMailer(s setting.Notifications, link string, now func() time.Time) (*mailer, error) {
	from, err := mail.ParseAddress(s.From)
	if err != nil {
		return nil, fault.New(fault.Invalid, "notifications: from: %q is no address", s.From)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	config := &tls.Config{ServerName: s.SMTP.Host, MinVersion: tls.VersionTLS12}
	if s.SMTP.ServerName != "" {
		config.ServerName = s.SMTP.ServerName
	}
	if s.SMTP.CAFile != "" {
		if config.RootCAs, err = webhook.Roots(s.SMTP.CAFile); err != nil {
			return nil, fault.New(fault.Invalid, "notifications: smtp.ca_file: %w", err)
		}
	}
	m := &mailer{from: s.From, domain: domain, link: link, host: s.SMTP.Host, now: now}
	m.options = []gomail.Option{gomail.WithTimeout(mailTime), gomail.WithTLSConfig(config), gomail.WithHELO(helo())}
	port := s.SMTP.Port
	switch s.SMTP.TLS {
	case setting.SMTPTLS:
		m.options = append(m.options, gomail.WithSSL(), gomail.WithPort(either(port, 465)))
	case setting.SMTPNone:
		m.options = append(m.options, gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithPort(either(port, 25)))
	default:
		m.options = append(m.options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithPort(either(port, 587)))
	}
	if s.SMTP.Username != "" && s.SMTP.TLS != setting.SMTPNone {
		m.options = append(m.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.SMTP.Username), gomail.WithPassword(s.SMTP.Password))
	}
	return m, nil
}

// helo is what we call ourselves; servers refuse names they cannot read.
func helo() string {
	if name, err := os.Hostname(); err == nil && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == "" {
		return name
	}
	return "localhost"
}

func either(port, usual int) int {
	if port > 0 {
		return port
	}
	return usual
}

// send sends a message, or several in one mail.
func (m *mailer) send(ctx context.Context, list []*notices.Message, to []string, which string) error {
	msg, err := m.message(list, to, which)
	if err != nil {
		return err
	}
	// A client for each: they are few, and a connection kept open is closed by servers.
	client, err := gomail.NewClient(m.host, m.options...)
	if err != nil {
		return fault.New(fault.Invalid, "mail: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fault.New(fault.Unavailable, "mail: send by %s: %w", m.host, err).WithHint("look at `notifications.smtp` in the configuration")
	}
	return nil
}

// message is plain text with the same in HTML beside it (RFC 2046, section 5.1.4).
func (m *mailer) message(list []*notices.Message, to []string, which string) (*gomail.Msg, error) {
	msg := gomail.NewMsg()
	if err := msg.From(m.from); err != nil {
		return nil, fault.New(fault.Invalid, "mail: from: %w", err)
	}
	if err := msg.To(to...); err != nil {
		return nil, fault.New(fault.Invalid, "mail: to: %w", err)
	}
	w := say(list[0], m.link)
	if len(list) > 1 {
		w = sayAll(list, m.link)
	}
	msg.Subject("[Rollcall] " + w.Subject)
	msg.SetDateWithValue(m.now())
	m.thread(msg, list, which)
	// Nobody's out-of-office answers to it (RFC 3834, section 5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	html, err := w.html()
	if err != nil {
		return nil, err
	}
	msg.SetBodyString(gomail.TypeTextPlain, w.plain())
	msg.AddAlternativeString(gomail.TypeTextHTML, html)
	return msg, nil
}

// thread names a mail: the same message has the same ID when it is sent again, and
// what ends is an answer to what began.
func (m *mailer) thread(msg *gomail.Msg, list []*notices.Message, which string) {
	n := list[0]
	if len(list) > 1 {
		sum := sha256.New()
		for _, one := range list {
			_, _ = sum.Write([]byte(one.ID + seconds(one.SentAt) + seconds(one.EndedAt) + " ")) // never fails (package hash)
		}
		msg.SetMessageIDWithValue("several." + hex.EncodeToString(sum.Sum(nil)[:10]) + "." + which + "@" + m.domain)
		return
	}
	first := n.ID + "." + which + "@" + m.domain
	switch {
	case n.Ended:
		msg.SetMessageIDWithValue("ended." + seconds(n.EndedAt) + "." + first)
		msg.SetGenHeader(gomail.HeaderInReplyTo, "<"+first+">")
		msg.SetGenHeader(gomail.HeaderReferences, "<"+first+">")
	case n.SentAt != nil:
		sum := sha256.Sum256([]byte(n.Text))
		msg.SetMessageIDWithValue("changed." + hex.EncodeToString(sum[:6]) + "." + first)
		msg.SetGenHeader(gomail.HeaderReferences, "<"+first+">")
	default:
		msg.SetMessageIDWithValue(first)
	}
}
