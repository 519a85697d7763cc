package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/setting"
)

// The constructors of keys: each binds a key to the variable it fills, whose
// present value is the default the documentation shows.

func text(name string, to *string, help string, check func(string) error) key {
	return key{
		name: name, help: help, typ: "text", initial: *to, schema: schema{"type": "string"},
		set: func(s string) error {
			if check != nil {
				if err := check(s); err != nil {
					return err
				}
			}
			*to = s
			return nil
		},
	}
}

func secret(k key) key {
	k.secret = true
	return k
}

func choice(name string, to *string, help string, choices ...string) key {
	k := text(name, to, help, func(s string) error { return oneOf(s, choices) })
	k.choices = choices
	k.schema = schema{"enum": choices}
	return k
}

// oneOf is the error for a word that is none of the choices. Words are no
// secrets here, so the nearest one can be named.
func oneOf(s string, choices []string) error {
	if slices.Contains(choices, s) {
		return nil
	}
	if near := setting.Nearest(s, choices); near != "" {
		return fmt.Errorf("%q is none of %s; did you mean %q?", s, strings.Join(choices, ", "), near)
	}
	return fmt.Errorf("%q is none of %s", s, strings.Join(choices, ", "))
}

func flag(name string, to *bool, help string) key {
	return key{
		name: name, help: help, typ: setting.Bool.String(), initial: strconv.FormatBool(*to), schema: orVariable("boolean"),
		set: func(s string) error {
			v, err := setting.Option{Type: setting.Bool}.Parse(s)
			if err == nil {
				*to = v.(bool)
			}
			return err
		},
	}
}

func count(name string, to *int, help string) key {
	return key{
		name: name, help: help, typ: setting.Int.String(), initial: strconv.Itoa(*to), schema: orVariable("integer"),
		set: func(s string) error {
			v, err := strconv.Atoi(s)
			if err != nil || v < 0 {
				return errors.New("expected a whole number, 0 or more")
			}
			*to = v
			return nil
		},
	}
}

func duration(name string, to *time.Duration, help string) key {
	initial := ""
	if *to != 0 {
		initial = to.String()
	}
	return key{
		name: name, help: help, typ: setting.Duration.String(), initial: initial, schema: orVariable("integer"),
		set: func(s string) error {
			v, err := setting.ParseDuration(s)
			if err == nil {
				*to = v
			}
			return err
		},
	}
}

// jitter is a duration that may be left to others; 0 is not the same as unset.
func jitter(name string, to **time.Duration, help string) key {
	var v time.Duration
	k := duration(name, &v, help)
	k.set = func(s string) error {
		v, err := setting.ParseDuration(s)
		if err == nil && v > 24*time.Hour {
			return errors.New("expected a day or less")
		}
		*to = &v
		return err
	}
	return k
}

// session is a time for which somebody may stay signed in: never so short that
// nobody can work, never for ever.
func session(name string, to *time.Duration, help string) key {
	k := duration(name, to, help)
	k.initial = strings.TrimSuffix(exportDuration(*to), "0m0s")
	k.typ = "a duration such as 12h"
	k.set = func(s string) error {
		v, err := setting.ParseDuration(s)
		if err != nil || v < time.Minute || v > 90*24*time.Hour {
			return errors.New("expected a minute to 90 days, such as 12h")
		}
		*to = v
		return nil
	}
	return k
}

// proxies are networks, or single addresses.
func (d *decoder) proxies(to *[]netip.Prefix) key {
	return key{
		name: "trusted_proxies", typ: "networks", schema: schema{"type": "array", "items": schema{"type": "string"}},
		help: "Reverse proxies whose `X-Forwarded-For` says where people come from, such as `[127.0.0.1, 10.0.0.0/8]`. Without it wrong passwords of anybody behind the proxy count for everybody.",
		node: func(path string, n *node) {
			for i, s := range d.texts(path, n) {
				p, err := netip.ParsePrefix(s)
				if a, aerr := netip.ParseAddr(s); aerr == nil {
					p, err = netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
				}
				if err != nil {
					d.add(n.item(i), "%s: expected addresses or networks such as 10.0.0.0/8", path)
					continue
				}
				*to = append(*to, p.Masked())
			}
		},
	}
}

// day is a date, kept as its beginning in UTC.
func day(name string, to *time.Time, help string) key {
	return key{
		name: name, help: help, typ: "a date such as 2027-03-31", schema: schema{"type": "string", "format": "date"},
		set: func(s string) error {
			at, err := time.Parse(time.DateOnly, s)
			if err != nil {
				return errors.New("expected a date such as 2027-03-31")
			}
			*to = at
			return nil
		},
	}
}

// age is a duration of days; 0 stands for ever. A bare number means seconds
// everywhere, and who writes 90 here means days: that is not guessed.
func age(name string, to *time.Duration, help string) key {
	k := duration(name, to, help)
	k.initial, k.typ = "0", "a duration such as 90d"
	if *to > 0 {
		k.initial = exportDuration(*to)
	}
	k.set = func(s string) error {
		v, err := setting.ParseDuration(s)
		if err != nil || v != 0 && v < 24*time.Hour {
			return errors.New("expected a day and more, such as 90d, or 0 for ever")
		}
		*to = v
		return nil
	}
	return k
}

func share(name string, to *setting.Share, help string) key {
	return key{
		name: name, help: help, typ: "a share such as 20%", initial: strconv.FormatFloat(float64(*to)*100, 'f', -1, 64) + "%",
		schema: orVariable("number"),
		set: func(s string) error {
			v, err := parseShare(s)
			if err == nil {
				*to = v
			}
			return err
		},
	}
}

// parseShare reads "20%" or "0.2". A bare number above 1 is refused: 20 may
// mean a fifth or all of it twenty times over.
func parseShare(s string) (setting.Share, error) {
	percent, isPercent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(percent), 64)
	if isPercent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return 0, errors.New("expected a share from 0% to 100%, such as 20% or 0.2")
	}
	return setting.Share(v), nil
}

func organizationKeys(o *setting.Organization) []key {
	return []key{
		text("id", &o.ID, "Short name, unique in the installation.", checkID),
		text("name", &o.Name, "Name for people.", checkName),
		count("licence_limit", &o.LicenceLimit, "Seats; a plan that needs more is held. 0 means no limit."),
	}
}

func retentionKeys(r *setting.Retention) []key {
	return []key{
		age("plans", &r.Plans, "The rows of plans that were applied, rejected or superseded; without them a run cannot be reverted. Not longer than their run. 0 keeps them for ever."),
		age("runs", &r.Runs, "Runs that have ended, with the summaries of their plans. The last applied one of each connection stays. 0 keeps them for ever."),
		age("events", &r.Events, "The feed, from its beginning. An application that is further behind has to take everything anew. 0 keeps it for ever."),
		age("deliveries", &r.Deliveries, "Deliveries to webhooks that were accepted or given up, with their attempts, and notices that have ended. 0 keeps them for ever."),
	}
}

func rateKeys(r *setting.Rates) []key {
	return []key{
		count("per_second", &r.PerSecond, "Requests a second; more are answered with 429 and the time to wait. 0 means no limit."),
		count("burst", &r.Burst, "Requests at once, after a rest."),
	}
}

func policyKeys(p *setting.Policy) []key {
	return []key{
		flag("dry-run", &p.DryRun, "Plan, and never apply."),
		flag("no-create", &p.NoCreate, "Make no new accounts."),
		flag("no-update", &p.NoUpdate, "Change no field of an account."),
		flag("no-delete", &p.NoDelete, "Neither delete nor disable accounts of people who are gone."),
		flag("delete-disables", &p.DeleteDisables, "Disable a leaver's account instead of flagging it deleted. Switched off later, it is about who leaves from then on: who left before stays disabled."),
		flag("create-as-disabled", &p.CreateAsDisabled, "New accounts start disabled."),
		flag("no-update-provider-mismatch", &p.NoUpdateProviderMismatch, "Leave accounts of other providers (local ones, other connections) alone."),
		duration("purge-after", &p.PurgeAfter, "Remove accounts for good when they have been flagged deleted this long, such as `30d`, and their people are not back. Off unless set, and while `no-delete` is on."),
	}
}

func limitKeys(l *setting.Limits) []key {
	return []key{
		share("removals", &l.Removals, "Accounts disabled or deleted, of the connection's accounts."),
		count("removals_min", &l.RemovalsMin, "Fewer removals than this are let through whatever their share, unless they are more than half of everybody."),
		count("removals_max", &l.RemovalsMax, "More removals than this are held whatever their share. 0 means no such limit."),
		share("membership_removals", &l.MembershipRemovals, "Memberships removed, of the connection's memberships."),
		count("membership_removals_min", &l.MembershipRemovalsMin, "Fewer than this are let through."),
		share("group_removals", &l.GroupRemovals, "Groups removed, of the connection's groups."),
		count("group_removals_min", &l.GroupRemovalsMin, "Fewer than this are let through."),
		share("identity_changes", &l.IdentityChanges, "Accounts whose username or e-mail address changes."),
		count("identity_changes_min", &l.IdentityChangesMin, "Fewer than this are let through."),
		count("creates", &l.Creates, "More new accounts than this are held. 0 means no such limit."),
	}
}
