package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/setting"
)

func TestWhereDeliveriesMayGoAndWhoIsTold(t *testing.T) {
	c, err := Parse("/etc/rollcall/rollcall.yaml", []byte(`
webhooks: {allow_private: [10.1.0.0/16, 192.168.1.7], ca_file: inside.pem}
notifications:
  from: Rollcall <rollcall@example.com>
  to: ops@example.com
  organizations:
    sunfix: [it@sunfix.com, Anna <anna@sunfix.com>]
  smtp: {host: mail.example.com, port: 2525, tls: tls, username: rollcall, password: "${MAIL}", ca_file: ca.pem, server_name: mx}
  webhook: {url: https://chat.example.com/x, secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3}
`), nil, func(name string) (string, bool) { return "s3cret", name == "MAIL" })
	if err != nil {
		t.Fatal(err)
	}
	if want := (setting.Webhooks{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.168.1.7/32")}, CAFile: "/etc/rollcall/inside.pem"}); !reflect.DeepEqual(c.Webhooks, want) {
		t.Errorf("%+v", c.Webhooks)
	}
	want := setting.Notifications{From: "Rollcall <rollcall@example.com>", To: []string{"ops@example.com"}, Organizations: map[string][]string{"sunfix": {"it@sunfix.com", "Anna <anna@sunfix.com>"}},
		SMTP:    setting.SMTP{Host: "mail.example.com", Port: 2525, TLS: "tls", Username: "rollcall", Password: "s3cret", CAFile: "/etc/rollcall/ca.pem", ServerName: "mx"},
		Webhook: setting.NotificationWebhook{URL: "https://chat.example.com/x", Secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}}
	if !reflect.DeepEqual(c.Notifications, want) {
		t.Errorf("%+v", c.Notifications)
	}
	if c, err = Parse("x.yaml", []byte("webhooks: {allow_private: true}"), nil, nil); err != nil || !c.Webhooks.AllowAll {
		t.Errorf("%+v, %v", c.Webhooks, err)
	}
}

func TestNotificationsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"a network that is none":   {"webhooks: {allow_private: [10.1.0.0/16, inside]}", "webhooks.allow_private: expected true, or networks"},
		"an address that is none":  {"notifications: {to: [ops]}", "notifications.to: expected an e-mail address"},
		"nobody to tell":           {"notifications: {from: a@b.c, smtp: {host: x}}", "nobody is named in to or organizations"},
		"no sender":                {"notifications: {to: a@b.c, smtp: {host: x}}", "smtp.host is set, and from is not"},
		"no server":                {"notifications: {to: a@b.c}", "smtp.host is not set"},
		"a password in the clear":  {"notifications: {from: a@b.c, to: a@b.c, smtp: {host: x, tls: none, password: s3cret}}", "a password is never sent in the clear"},
		"another way":              {"notifications: {smtp: {tls: startls}}", `did you mean "starttls"?`},
		"no port":                  {"notifications: {smtp: {port: 70000}}", "70000 is no port"},
		"a webhook without secret": {"notifications: {webhook: {url: https://x.example}}", "secret is missing"},
		"a secret that is none":    {"notifications: {webhook: {url: https://x.example, secret: s3cret}}", "expected whsec_"},
		"a password in the url":    {"notifications: {webhook: {url: 'https://a:s3cret@x.example', secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3}}", "notices are signed"},
		"a day that is none":       {"connections: [{alias: a, credential_expires: soon, backend: {}}]", "credential_expires: expected a date such as 2027-03-31"},
		"organizations as a list":  {"notifications: {organizations: [a]}", "expected organizations and addresses"},
	} {
		_, err := Parse("x.yaml", []byte(c.file), nil, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
