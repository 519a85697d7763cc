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
	to   string // whom, where there are several by one name
	over string // what it goes over; where that is away, it is for all
	send func(ctx context.Context, list []*notices.Message) error
	// few is how many messages at a time are sent one by one; more go together.
	few int
}

// parcel is what goes one way.
type parcel struct {
	way
	messages []*notices.Message
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

// fewMails is how many mails somebody gets at once. When a network goes down, ten
// thousand connections fail, and nobody reads ten thousand mails.
const fewMails = 5

// ways are those a message goes by.
func (n *Notifier) ways(m *notices.Message) []way {
	var out []way
	mail := func(name, to string, addresses []string) {
		if n.mailer == nil || len(addresses) == 0 {
			return
		}
		out = append(out, way{name: name, to: to, over: "mail", few: fewMails, send: func(ctx context.Context, list []*notices.Message) error {
			return n.mailer.send(ctx, list, addresses, strings.TrimPrefix(name, "mail-"))
		}})
	}
	mail("mail-operator", "", n.settings.To)
	if m.Organization != nil {
		mail("mail-organization", *m.Organization, n.settings.Organizations[*m.Organization])
	}
	if n.caller != nil {
		out = append(out, way{name: "webhook", over: "webhook", few: atATime, send: func(ctx context.Context, list []*notices.Message) error {
			return n.caller.send(ctx, list[0])
		}})
	}
	return out
}

// parcels sorts messages by the ways they have yet to go.
func (n *Notifier) parcels(messages []*notices.Message) []*parcel {
	var out []*parcel
	at := map[[2]string]*parcel{}
	for _, m := range messages {
		for _, w := range n.ways(m) {
			if slices.Contains(m.Done, w.name) {
				continue
			}
			key := [2]string{w.name, w.to}
			if at[key] == nil {
				at[key] = &parcel{way: w}
				out = append(out, at[key])
			}
			at[key].messages = append(at[key].messages, m)
		}
	}
	return out
}

// How often what is counted is looked at, how many messages are sent at a time,
// and how long one is this node's.
const (
	counting = time.Minute
	atATime  = 500
	lease    = 15 * time.Minute
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

// patience is how many failures in a row say that a mail server or a webhook is
// away, so that the rest need not wait for it now.
const patience = 2

func (n *Notifier) tell(ctx context.Context) (bool, error) {
	messages, err := n.Notices.Claim(ctx, atATime, lease)
	failures := map[*notices.Message][]string{}
	away := map[string]int{}
	for _, p := range n.parcels(messages) {
		parts := [][]*notices.Message{p.messages}
		if len(p.messages) <= p.few {
			parts = slices.Collect(slices.Chunk(p.messages, 1))
		}
		for _, part := range parts {
			failure := "it was away for others just before"
			if away[p.over] < patience {
				failure = ""
				if err := p.send(ctx, part); err != nil {
					failure = err.Error()
					n.Log.Warn("notices could not be sent", "by", p.name, "how_many", len(part), "error", failure)
				}
			}
			if failure == "" {
				away[p.over] = 0
			} else {
				away[p.over]++
			}
			for _, m := range part {
				if failure == "" {
					m.Done = append(m.Done, p.name)
				} else {
					failures[m] = append(failures[m], p.name+": "+failure)
				}
			}
		}
	}
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, m := range messages {
		err = errors.Join(err, n.Notices.Finish(kept, m, m.Done, strings.Join(failures[m], "; ")))
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
