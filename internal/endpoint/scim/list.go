package scim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/pushed"
)

// stamp is a time as SCIM writes it (RFC 7643, section 2.3.5).
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// question is what is asked of a list, by a query or a .search.
type question struct {
	Schemas    []string `json:"schemas"`
	Attributes []string `json:"attributes"`
	Excluded   []string `json:"excludedAttributes"`
	Filter     string   `json:"filter"`
	SortBy     string   `json:"sortBy"`
	SortOrder  string   `json:"sortOrder"`
	StartIndex *int     `json:"startIndex"`
	Count      *int     `json:"count"`
	Cursor     *string  `json:"cursor"`
}

func asked(v url.Values) (*question, error) {
	out := &question{Attributes: list(v.Get("attributes")), Excluded: list(v.Get("excludedAttributes")), Filter: v.Get("filter"), SortBy: v.Get("sortBy"), SortOrder: v.Get("sortOrder")}
	for name, to := range map[string]**int{"startIndex": &out.StartIndex, "count": &out.Count} {
		text := strings.TrimSpace(v.Get(name))
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, scim.Bad(scim.InvalidValue, "%s is not a whole number", name)
		}
		*to = &n
	}
	if v.Has("cursor") {
		cursor := v.Get("cursor")
		out.Cursor = &cursor
	}
	return out, nil
}

func (q *request) searched() (*question, error) {
	var out question
	if err := json.Unmarshal(q.body, &out); err != nil {
		return nil, scim.Bad(scim.InvalidSyntax, "the body is not a search request: %s", err)
	}
	return &out, nil
}

func (q *request) list(t scim.Type) error {
	a, err := asked(q.r.URL.Query())
	if err != nil {
		return err
	}
	return q.find(a, t)
}

func (q *request) search(t scim.Type) error {
	a, err := q.searched()
	if err != nil {
		return err
	}
	return q.find(a, t)
}

// listAll looks among users and groups at once.
func (q *request) listAll() error {
	a, err := asked(q.r.URL.Query())
	if err != nil {
		return err
	}
	return q.find(a, scim.User, scim.Group)
}

func (q *request) searchAll() error {
	a, err := q.searched()
	if err != nil {
		return err
	}
	return q.find(a, scim.User, scim.Group)
}

// count is how many a page holds (RFC 7644, table 6: "a negative value SHALL be
// interpreted as a value of 0").
func (a *question) count() int {
	if a.Count == nil {
		return usualCount
	}
	return min(max(*a.Count, 0), mostCount)
}

func (a *question) start() int {
	if a.StartIndex == nil {
		return 1
	}
	return max(*a.StartIndex, 1)
}

// find answers with a page of what fits. More than one type comes one after the other.
func (q *request) find(a *question, types ...scim.Type) error {
	w, err := wantsOf(a.Attributes, a.Excluded)
	if err != nil {
		return err
	}
	base := pushed.Query{Descending: strings.EqualFold(a.SortOrder, "descending")}
	if strings.TrimSpace(a.Filter) != "" {
		if base.Filter, err = scim.ParseFilter(a.Filter); err != nil {
			return err
		}
	}
	if a.SortBy != "" {
		path, err := scim.ParsePath(a.SortBy)
		if err != nil || path.Filter != nil {
			return scim.Bad(scim.InvalidPath, "sortBy %q is not an attribute", a.SortBy)
		}
		base.Sort = &path
	}
	if a.Cursor != nil {
		return q.follow(a, base, w, types[0], len(types) > 1)
	}
	total, room, skip := 0, a.count(), a.start()-1
	resources := []scim.Object{}
	for _, t := range types {
		one := base
		one.Type, one.Start, one.Count, one.Members, one.Groups = t, skip+1, room, w.members(t), w.groups(t)
		page, err := q.e.Pushed.List(q.r.Context(), q.c.alias, one)
		if err != nil {
			return err
		}
		if resources, err = q.append(resources, page.Resources, w); err != nil {
			return err
		}
		total += page.Total
		room, skip = room-len(page.Resources), max(0, skip-page.Total)
	}
	return q.reply(http.StatusOK, scim.ListObject(scim.Page{Resources: resources, Total: total, Start: a.start()}))
}

func (q *request) append(to []scim.Object, list []*pushed.Resource, w wants) ([]scim.Object, error) {
	for _, r := range list {
		o, err := q.shown(r, w)
		if err != nil {
			return nil, err
		}
		to = append(to, o)
	}
	return to, nil
}

// follow is a page by cursor (RFC 9865): it stands where it stands, whatever is made
// or deleted before it.
func (q *request) follow(a *question, query pushed.Query, w wants, t scim.Type, several bool) error {
	switch {
	case several:
		return scim.Bad(scim.InvalidCursor, "cursors lead through users or through groups, not through both; ask /Users or /Groups")
	case a.StartIndex != nil:
		return scim.Bad(scim.InvalidCursor, "cursor and startIndex cannot be given together")
	case a.Count != nil && *a.Count < 0:
		return scim.Bad(scim.InvalidCount, "count is less than 0")
	}
	// A cursor goes on with the question it was made for.
	sum := sha256.Sum256([]byte(strings.Join([]string{string(t), a.Filter, a.SortBy, strings.ToLower(a.SortOrder)}, "\x00")))
	mark := base64.RawURLEncoding.EncodeToString(sum[:9])
	query.UseCursor = true
	if *a.Cursor != "" {
		of, after, ok := strings.Cut(*a.Cursor, ".")
		place, err := base64.RawURLEncoding.DecodeString(after)
		if !ok || err != nil || of != mark {
			return scim.Bad(scim.InvalidCursor, "the cursor belongs to another question, or is not whole; begin again without one")
		}
		query.After = string(place)
	}
	query.Type, query.Count, query.Members, query.Groups = t, a.count(), w.members(t), w.groups(t)
	page, err := q.e.Pushed.List(q.r.Context(), q.c.alias, query)
	if err != nil {
		return err
	}
	resources, err := q.append(nil, page.Resources, w)
	if err != nil {
		return err
	}
	out := scim.Page{Resources: resources, Total: page.Total}
	if page.Next != "" {
		out.Next = mark + "." + base64.RawURLEncoding.EncodeToString([]byte(page.Next))
	}
	return q.reply(http.StatusOK, scim.ListObject(out))
}
