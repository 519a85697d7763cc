package pushed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/pushed"
)

// words are values that resources and filters are made of: few, so that they meet,
// and of those that are not compared as they look.
var words = []string{"jane", "Jane", "JANE", "jané", "jane\u0301", "straße", "STRASSE", "ſ", "s", "K", "\u212a", "İ", "i", " jane", "jane ", "", "ja", "true", "false", "1", "a\"b",
	strings.Repeat("long", 100), strings.Repeat("LONG", 100), strings.Repeat("long", 100) + "x"}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// folk fills the tables, and gives every resource that is there.
func folk(t *testing.T, h *house, r *rand.Rand) map[scim.Type][]*pushed.Resource {
	t.Helper()
	var users []string
	for i := range 60 {
		body := user(fmt.Sprintf("%s%d", pick(r, []string{"Jane", "jané", "straße", "K"}), i))
		for name, value := range map[string]any{
			"displayName": pick(r, words), "externalId": pick(r, words), "title": pick(r, words), "active": r.IntN(2) == 0,
			"name": scim.Object{"familyName": pick(r, words), "givenName": pick(r, words)},
			"emails": []any{scim.Object{"type": pick(r, []string{"work", "home"}), "value": pick(r, words), "primary": r.IntN(2) == 0},
				scim.Object{"type": "work", "value": pick(r, words)}, "plain"},
			scim.EnterpriseSchema: scim.Object{"employeeNumber": pick(r, words), "manager": scim.Object{"value": pick(r, words)}},
			"nickName":            nil,
		} {
			if r.IntN(3) > 0 {
				body[name] = value
			}
		}
		u := h.create(scim.User, body)
		if i%10 == 9 {
			h.write(func(tx *pushed.Tx) error { return tx.Delete(u) })
			continue
		}
		users = append(users, u.ID)
	}
	var groups []string
	for i := range 12 {
		g := h.create(scim.Group, scim.Object{"displayName": pick(r, words) + "g", "externalId": pick(r, words)})
		groups = append(groups, g.ID)
		h.write(func(tx *pushed.Tx) error {
			_, err := tx.AddMembers(g, []pushed.Member{{ID: pick(r, users), Display: pick(r, []string{"jane", "Jane"})}, {ID: pick(r, users)}, {ID: pick(r, []string{"Jane", "jane", groups[i/2]})}})
			return err
		})
	}
	for id := range slices.Values(users[:3]) {
		words = append(words, id, strings.ToUpper(id))
	}
	words = append(words, groups[0])
	out := map[scim.Type][]*pushed.Resource{}
	for typ, ids := range map[scim.Type][]string{scim.User: users, scim.Group: groups} {
		for _, id := range ids {
			out[typ] = append(out[typ], h.get(typ, id))
		}
	}
	return out
}

var paths = []string{"userName", "USERNAME", "id", "externalId", "displayName", "title", "active", "name.familyName", "name.givenName", "emails", "emails.value", "emails.type", "nickName",
	"members", "members.value", "members.display", "groups", "groups.value", "groups.display", "meta.created", "meta.resourceType", "nobody.knows",
	scim.EnterpriseSchema + ":employeeNumber", scim.EnterpriseSchema + ":manager.value", scim.EnterpriseSchema + ":manager", scim.UserSchema + ":userName"}

// filter makes one at random, as text.
func filter(r *rand.Rand, depth int) string {
	compare := func(path string) string {
		if op := pick(r, []string{"eq", "eq", "eq", "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"}); op != "pr" {
			if (path == "primary" || path == "active") && op != "ne" {
				op = "eq" // of true and false nothing else can be asked
			}
			return path + " " + op + " " + quoted(r, op)
		}
		return path + " pr"
	}
	if depth == 0 || r.IntN(3) == 0 {
		if r.IntN(4) == 0 {
			inner := compare(pick(r, []string{"value", "type", "primary", "display"}))
			if r.IntN(2) == 0 {
				inner += pick(r, []string{" and ", " or "}) + compare(pick(r, []string{"value", "type"}))
			}
			text := pick(r, []string{"emails", "members", "groups"}) + "[" + inner + "]"
			if r.IntN(2) == 0 {
				return compare(text + ".value")
			}
			return text
		}
		return compare(pick(r, paths))
	}
	switch r.IntN(3) {
	case 0:
		return "not (" + filter(r, depth-1) + ")"
	case 1:
		return "(" + filter(r, depth-1) + ") and (" + filter(r, depth-1) + ")"
	}
	return "(" + filter(r, depth-1) + ") or (" + filter(r, depth-1) + ")"
}

func quoted(r *rand.Rand, op string) string {
	if r.IntN(8) == 0 && (op == "eq" || op == "ne") {
		return pick(r, []string{"true", "false", "null", "1"})
	}
	return `"` + strings.ReplaceAll(pick(r, words), `"`, `\"`) + `"`
}

func ids(list []*pushed.Resource) []string {
	out := []string{}
	for _, r := range list {
		out = append(out, r.ID)
	}
	return out
}

func TestListsHoldWhatTheFilterFits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	given := words
	for name, dsn := range map[string]func(testing.TB) string{"SQLite": databases.SQLite, "PostgreSQL": databases.PostgreSQL} {
		t.Run(name, func(t *testing.T) {
			words = slices.Clone(given)
			h := open(t, dsn(t))
			all := folk(t, h, r)
			found := 0
			for range 600 {
				typ := pick(r, []scim.Type{scim.User, scim.User, scim.Group})
				text := filter(r, 2)
				f, err := scim.ParseFilter(text)
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				var want []string
				for _, one := range all[typ] {
					if f.Matches(one.Object()) {
						want = append(want, one.ID)
					}
				}
				slices.Sort(want)
				start, count := 1+r.IntN(3), r.IntN(5)-1
				p := h.list(pushed.Query{Type: typ, Filter: f, Start: start, Count: count})
				page := want[min(start-1, len(want)):]
				if count >= 0 {
					page = page[:min(count, len(page))]
				}
				if p.Total != len(want) || !slices.Equal(ids(p.Resources), append([]string{}, page...)) {
					t.Fatalf("%s %s: page from %d on, %d at most: got %d of %d %v, want %d of %d %v", typ, text, start, count, len(p.Resources), p.Total, ids(p.Resources), len(page), len(want), page)
				}
				found += len(want)
			}
			if found < 400 {
				t.Errorf("the filters found %d together: they test little", found)
			}
		})
	}
}

func TestPagesFollowOneAnother(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	given := words
	for name, dsn := range map[string]func(testing.TB) string{"SQLite": databases.SQLite, "PostgreSQL": databases.PostgreSQL} {
		t.Run(name, func(t *testing.T) {
			words = slices.Clone(given)
			h := open(t, dsn(t))
			all := folk(t, h, r)
			for _, by := range []string{"", "id", "userName", "displayName", "externalId", "meta.created", "meta.lastModified", "title", "name.familyName", "emails.value", "emails", "active", scim.EnterpriseSchema + ":employeeNumber"} {
				for _, descending := range []bool{false, true} {
					for _, text := range []string{"", "active eq true", `not (userName co "1")`} {
						q := pushed.Query{Type: scim.User, Descending: descending, Count: -1}
						if by != "" {
							path, err := scim.ParsePath(by)
							if err != nil {
								t.Fatal(err)
							}
							q.Sort = &path
						}
						if text != "" {
							f, err := scim.ParseFilter(text)
							if err != nil {
								t.Fatal(err)
							}
							q.Filter = f
						}
						whole := h.list(q)
						if text == "" && len(whole.Resources) != len(all[scim.User]) || whole.Total != len(whole.Resources) {
							t.Fatalf("%s %v %s: %d of %d", by, descending, text, len(whole.Resources), whole.Total)
						}
						want := ids(whole.Resources)
						var numbered, carried []string
						for q.Count, q.Start = 20, 1; len(numbered) < len(want); q.Start += 20 {
							p := h.list(q)
							if numbered = append(numbered, ids(p.Resources)...); len(p.Resources) == 0 {
								break
							}
						}
						for q.UseCursor = true; ; {
							p := h.list(q)
							carried = append(carried, ids(p.Resources)...)
							if q.After = p.Next; p.Next == "" {
								break
							}
						}
						if !slices.Equal(numbered, want) || !slices.Equal(carried, want) {
							t.Errorf("by %q, descending %v, %q: by numbers\n%v, by cursors\n%v, want\n%v", by, descending, text, numbered, carried, want)
						}
						if descending {
							q = pushed.Query{Type: scim.User, Filter: q.Filter, Sort: q.Sort, Count: -1}
							other := ids(h.list(q).Resources)
							if slices.Reverse(other); !slices.Equal(other, want) {
								t.Errorf("by %q: descending is not ascending turned round", by)
							}
						}
					}
				}
			}
			sorted := h.list(pushed.Query{Type: scim.User, Sort: &scim.Path{Attr: "displayName"}, Count: -1}).Resources
			empty := false
			for _, one := range sorted {
				name, _ := one.Body["displayName"].(string)
				if empty && name != "" {
					t.Errorf("%q stands behind those without a name", name)
				}
				empty = name == ""
			}
			for _, after := range []string{"x", "e30", "!!"} {
				_, err := h.List(t.Context(), hq, pushed.Query{Type: scim.User, UseCursor: true, After: after, Count: 1})
				if code, kind := status(err); code != 400 || kind != scim.InvalidCursor {
					t.Errorf("cursor %q: %v", after, err)
				}
			}
		})
	}
}

// An index answers what clients ask for all the time.
func TestWhatClientsAskForIsFoundByAnIndex(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		h := open(t, dsn)
		for part := range 8 {
			h.write(func(tx *pushed.Tx) error {
				for i := range 250 {
					if _, err := tx.Create(scim.User, entra(250*part+i)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		group := h.create(scim.Group, scim.Object{"displayName": "Staff", "externalId": "g"})
		if h.DB.Dialect == db.PostgreSQL {
			if err := h.DB.Write(t.Context(), func(tx *db.Tx) error { return tx.Analyze(t.Context(), "pushed", "pushed_values", "pushed_members") }); err != nil {
				t.Fatal(err)
			}
		}
		for text, index := range map[string]string{
			`userName eq "PERSON77@example.org"`:                                        "pushed_username",
			`externalId eq "e77"`:                                                       "pushed_external",
			`displayName eq "person 77"`:                                                "pushed_display",
			`emails[type eq "work"].value eq "person77@example.org"`:                    "pushed_values",
			`emails.value eq "person77@example.org" and active eq true`:                 "pushed_values",
			`emails[type eq "work" and value eq "person77@example.org"]`:                "pushed_values",
			`name.familyName eq "Number 77"`:                                            "pushed_values",
			scim.EnterpriseSchema + `:employeeNumber eq "77"`:                           "pushed_values",
			`groups.value eq "` + group.ID + `"`:                                        "pushed_members",
			`id eq "` + group.ID + `" and ` + scim.EnterpriseSchema + `:manager eq "x"`: "pushed",
			`userName eq "person77@example.org" or userName eq "person78@example.org"`:  "pushed_username",
		} {
			f, err := scim.ParseFilter(text)
			if err != nil {
				t.Fatal(err)
			}
			query, args := pushed.Narrowed(hq, scim.User, f)
			how := databases.Explain(t, h.DB, query, args...)
			if scan := regexp.MustCompile(`SCAN pushed|Seq Scan on pushed\b|Seq Scan on pushed `); scan.MatchString(how) || !strings.Contains(how, index) {
				t.Errorf("%s: is not found by %s:\n%s", text, index, how)
			}
			if strings.Contains(how, "(connection=? AND kind=?)") && !strings.Contains(how, "pushed_values") {
				t.Errorf("%s: every user is looked at:\n%s", text, how)
			}
		}
	})
}

// A cursor is a client's to carry, and may come back as anything.
func FuzzCursor(f *testing.F) {
	for _, text := range []string{"", "e30", "eyJhIjp7ImkiOiJ4In19", "eyJhIjp7ImsiOiJcdTAwMDAiLCJpIjoieCJ9fQ", "eyJiIjoidXNlck5hbWUiLCJhIjp7Im0iOnRydWUsIm4iOjFlMzAwLCJpIjoieCJ9fQ"} {
		f.Add(text)
	}
	h := open(f, databases.SQLite(f))
	for _, name := range []string{"jane", "john"} {
		h.create(scim.User, user(name, "title", name))
	}
	f.Fuzz(func(t *testing.T, after string) {
		q := pushed.Query{Type: scim.User, UseCursor: true, After: after, Count: 1}
		for _, by := range []*scim.Path{nil, {Attr: "userName"}, {Attr: "title"}, {Attr: "meta", Sub: "created"}} {
			q.Sort = by
			p, err := h.List(context.Background(), hq, q)
			if code, kind := status(err); err != nil && (code != 400 || kind != scim.InvalidCursor) {
				t.Fatalf("%q: %v", after, err)
			}
			if err == nil && p.Total != 2 {
				t.Fatalf("%q: %d of 2", after, p.Total)
			}
		}
	})
}
