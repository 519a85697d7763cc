package setting

import "net/netip"

// Webhooks says where deliveries of events may go.
type Webhooks struct {
	AllowAll     bool           // anywhere, also into private networks and by plain http
	AllowPrivate []netip.Prefix // networks that are not public, and allowed all the same
	CAFile       string         // PEM, beside the system's certificates
}

// Notifications says how people are told of what needs them; nobody is told
// where neither a mail server nor a webhook is named.
type Notifications struct {
	From          string              // "Rollcall <rollcall@example.com>"
	To            []string            // who is told of everything
	Organizations map[string][]string // who is told of one organization
	SMTP          SMTP
	Webhook       NotificationWebhook
}

// The ways to a mail server.
const (
	SMTPStartTLS = "starttls" // begins in the clear, and goes on only when TLS was agreed
	SMTPTLS      = "tls"      // from the first byte on
	SMTPNone     = "none"     // in the clear; without a password
)

// SMTP is a mail server.
type SMTP struct {
	Host       string
	Port       int    // 0: 587, 465 with SMTPTLS, 25 with SMTPNone
	TLS        string // one of the above
	Username   string // "" signs in nowhere
	Password   string
	CAFile     string // PEM, beside the system's certificates
	ServerName string // in the certificate, where it is not the host
}

// NotificationWebhook gets notices by the rules of Standard Webhooks.
type NotificationWebhook struct {
	URL    string
	Secret string // "whsec_..."
}
