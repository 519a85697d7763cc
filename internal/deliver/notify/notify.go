// Package notify tells people what needs them, by mail and by a webhook: it takes
// notices (package store/notices) that have to be told, and hands back by which
// ways they have gone. Each reason is told of once until it ends.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/notices"
)

// way is one way to tell people. Its name is kept with a message that went by it,
// so that it does not go there again when another way failed.
type way struct {
	name string
	send func(ctx context.Context, m *notices.Message) error
}

// Notifier tells people. Any number of them may run on one database.
type Notifier struct {
	Notices *notices.Notices
	Log     *slog.Logger
	Now     func() time.Time
	// PublicURL is where people find the console.
	PublicURL string

	settings setting.Notifications
	mailer   *mailer
	caller   *caller
	counted  time.Time
}

// New makes one for the settings. Without a mail server and a webhook it notes
// what there would be to tell, for the console, and tells nobody.
func New(table *notices.Notices, settings setting.Notifications, publicURL string, log *slog.Logger, now func() time.Time) (*Notifier, error) {
	n := &Notifier{Notices: table, Log: log, Now: now, PublicURL: strings.TrimSuffix(publicURL, "/"), settings: settings}
	var err error
	if settings.SMTP.Host != "" {
		if n.mailer, err = newMailer(settings, n.PublicURL, now); err != nil {
			return nil, err
		}
	}
	if settings.Webhook.URL != "" {
		n.caller = newCaller(settings.Webhook, now)
	}
	return n, nil
}

// ways are those a message goes by.
func (n *Notifier) ways(m *notices.Message) []way {
	var out []way
	if n.mailer != nil {
		if len(n.settings.To) > 0 {
			out = append(out, way{"mail", func(ctx context.Context, m *notices.Message) error {
				return n.mailer.send(ctx, m, n.settings.To, "operator")
			}})
		}
		if m.Organization != nil && len(n.settings.Organizations[*m.Organization]) > 0 {
			to := n.settings.Organizations[*m.Organization]
			out = append(out, way{"mail-organization", func(ctx context.Context, m *notices.Message) error { return n.mailer.send(ctx, m, to, "organization") }})
		}
	}
	if n.caller != nil {
		out = append(out, way{"webhook", n.caller.send})
	}
	return out
}

// How often what is counted is looked at, how many messages are sent at a time,
// and how long one is this node's.
const (
	counting = time.Minute
	atATime  = 20
	lease    = 5 * time.Minute
	idle     = 5 * time.Second
)

// Step notes what there is to tell by now and tells it. It reports whether there
// was anything, and when to come again.
func (n *Notifier) Step(ctx context.Context) (worked bool, next time.Time, err error) {
	for more := true; more && err == nil; {
		more, err = n.Notices.Follow(ctx)
	}
	if now := n.Now(); err == nil && now.Sub(n.counted) >= counting {
		if err = n.Notices.Count(ctx); err == nil {
			n.counted = now
		}
	}
	if err == nil && (n.mailer != nil || n.caller != nil) {
		worked, err = n.tell(ctx)
	}
	next = n.Now()
	if !worked {
		next = next.Add(idle)
	}
	return worked, next, err
}

func (n *Notifier) tell(ctx context.Context) (bool, error) {
	messages, err := n.Notices.Claim(ctx, atATime, lease)
	for _, m := range messages {
		var failures []string
		for _, w := range n.ways(m) {
			if slices.Contains(m.Done, w.name) {
				continue
			}
			if err := w.send(ctx, m); err != nil {
				failures = append(failures, w.name+": "+err.Error())
				n.Log.Warn("a notice could not be sent", "notice", m.ID, "reason", string(m.Reason), "by", w.name, "error", err.Error())
				continue
			}
			m.Done = append(m.Done, w.name)
		}
		kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		err = errors.Join(err, n.Notices.Finish(kept, m, m.Done, strings.Join(failures, "; ")))
		cancel()
	}
	return len(messages) > 0, err
}

// Run tells people until ctx ends. A database or a mail server that is away for a
// while ends nothing.
func (n *Notifier) Run(ctx context.Context) {
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for {
		for {
			worked, _, err := n.Step(ctx)
			if err != nil && ctx.Err() == nil {
				n.Log.Error("notices could not be looked for", "error", err.Error())
			}
			if err != nil || !worked || ctx.Err() != nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
