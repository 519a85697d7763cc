package config

import (
	"encoding/base64"
	"errors"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
)

// webhookKeys declare where deliveries may go.
func (d *decoder) webhookKeys(w *setting.Webhooks) []key {
	return []key{{
		name: "allow_private", typ: "true, or networks", initial: "false",
		help:   "Networks that are not public and that webhooks, and the addresses of identity providers and of the vendors' APIs that connections read, may lead into all the same, also by plain http, such as `[10.1.0.0/16]`; `true` for anywhere. Without it they lead to public addresses, by https.",
		schema: schema{"anyOf": []schema{orVariable("boolean"), {"type": "array", "items": schema{"type": "string"}}}},
		node: func(path string, n *node) {
			for i, s := range d.texts(path, n) {
				if err := allow(w, s); err != nil {
					d.add(n.item(i), "%s: %s", path, err)
				}
			}
		},
	}, text("ca_file", &w.CAFile, "Certificates to trust besides the system's, PEM: for endpoints inside.", nil)}
}

func allow(w *setting.Webhooks, s string) error {
	if v, err := (setting.Option{Type: setting.Bool}).Parse(s); err == nil {
		w.AllowAll = v.(bool)
		return nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		w.AllowPrivate = append(w.AllowPrivate, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return errors.New("expected true, or networks such as 10.1.0.0/16")
	}
	w.AllowPrivate = append(w.AllowPrivate, p.Masked())
	return nil
}

// notificationKeys declare how people are told.
func (d *decoder) notificationKeys(o *setting.Notifications) []key {
	addresses := schema{"anyOf": []schema{{"type": "string"}, {"type": "array", "items": schema{"type": "string"}}}}
	return []key{
		text("from", &o.From, "Sender of mails, such as `Rollcall <rollcall@example.com>`.", checkMail),
		{
			name: "to", typ: "addresses", help: "Who is told of everything.", schema: addresses,
			node: func(path string, n *node) { o.To = d.addresses(path, n) },
		},
		{
			name: "organizations", typ: "organization to addresses", help: "Who is told of one organization, besides those in `to`.",
			schema: schema{"type": "object", "additionalProperties": addresses},
			node: func(path string, n *node) {
				if n.shape != mapping {
					d.add(n, "%s: expected organizations and addresses, found %s", path, n.shape)
					return
				}
				o.Organizations = map[string][]string{}
				for _, e := range n.entries {
					o.Organizations[e.key.text] = d.addresses(join(path, e.key.text), e.value)
				}
			},
		},
		{name: "smtp", help: "The mail server. Without a host no mail is sent.", keys: []key{
			text("host", &o.SMTP.Host, "Name of the server.", nil),
			count("port", &o.SMTP.Port, "Its port: 587, with `tls: tls` 465, with `tls: none` 25 unless set."),
			choice("tls", &o.SMTP.TLS, "`starttls` agrees on TLS first and goes no further without, `tls` speaks it from the first byte on, `none` sends in the clear and never a password.", setting.SMTPStartTLS, setting.SMTPTLS, setting.SMTPNone),
			text("username", &o.SMTP.Username, "To sign in with, where the server asks for it.", nil),
			secret(text("password", &o.SMTP.Password, "To sign in with. Best `${NAME}` or `${file:PATH}`.", nil)),
			text("ca_file", &o.SMTP.CAFile, "Certificates to trust besides the system's, PEM.", nil),
			text("server_name", &o.SMTP.ServerName, "Name in the server's certificate, where it is another than its host.", nil),
		}},
		{name: "webhook", help: "An address that gets every notice too, signed as webhooks are.", keys: []key{
			secret(text("url", &o.Webhook.URL, "Its address.", checkURL)),
			secret(text("secret", &o.Webhook.Secret, "`whsec_` and 24 to 64 random bytes in base64.", checkWebhookSecret)),
		}},
	}
}

func (d *decoder) addresses(path string, n *node) []string {
	list := d.texts(path, n)
	for i, s := range list {
		if err := checkMail(s); err != nil {
			d.add(n.item(i), "%s: %s", path, err)
		}
	}
	return list
}

func checkMail(s string) error {
	if _, err := mail.ParseAddress(s); err != nil || strings.ContainsAny(s, "\r\n") {
		return errors.New("expected an e-mail address, such as ops@example.com")
	}
	return nil
}

// checkWebhookSecret must not repeat what it looks at.
func checkWebhookSecret(s string) error {
	rest, ok := strings.CutPrefix(s, "whsec_")
	key, err := base64.StdEncoding.DecodeString(rest)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return errors.New("expected whsec_ and 24 to 64 random bytes in base64")
	}
	return nil
}

// tell checks what concerns several keys of the notifications.
func (d *decoder) tell(root *node, c *Config) {
	if c.Webhooks.CAFile != "" {
		c.Webhooks.CAFile = d.beside(c.Webhooks.CAFile)
	}
	o := &c.Notifications
	at := root.get("notifications")
	if o.SMTP.CAFile != "" {
		o.SMTP.CAFile = d.beside(o.SMTP.CAFile)
	}
	switch {
	case o.SMTP.Host != "" && o.From == "":
		d.add(at, "notifications: smtp.host is set, and from is not")
	case o.SMTP.Host != "" && len(o.To) == 0 && len(o.Organizations) == 0:
		d.add(at, "notifications: smtp.host is set, and nobody is named in to or organizations")
	case o.SMTP.Host == "" && (len(o.To) > 0 || len(o.Organizations) > 0):
		d.add(at, "notifications: somebody is to be told, and smtp.host is not set")
	case o.SMTP.TLS == setting.SMTPNone && o.SMTP.Password != "":
		d.add(at.get("smtp"), "notifications.smtp: a password is never sent in the clear; set tls to starttls or tls")
	}
	if o.Webhook.URL != "" && o.Webhook.Secret == "" {
		d.add(at.get("webhook"), "notifications.webhook: secret is missing")
	}
	if u, err := url.Parse(o.Webhook.URL); err == nil && u.User != nil {
		d.add(at.get("webhook"), "notifications.webhook: the url carries a user name or a password; notices are signed")
	}
	if o.SMTP.Port > 65535 {
		d.add(at.get("smtp"), "notifications.smtp: %d is no port", o.SMTP.Port)
	}
}
