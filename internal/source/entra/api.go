package entra

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/rest"
)

// page is any page of a list or of a delta.
type page struct {
	Value *[]item `json:"value"` // nil where it was not there: no answer to a list
	Next  string  `json:"@odata.nextLink"`
	Delta string  `json:"@odata.deltaLink"`
}

// query makes a path with the options of OData.
func query(path string, options ...string) string {
	var b strings.Builder
	b.WriteString(path)
	for i := 0; i < len(options); i += 2 {
		sep := "&"
		if i == 0 {
			sep = "?"
		}
		// $ and , stand as they are in Microsoft's own examples.
		value := strings.NewReplacer("+", "%20", "%2C", ",", "%24", "$", "%28", "(", "%29", ")", "%27", "'").Replace(url.QueryEscape(options[i+1]))
		b.WriteString(sep + options[i] + "=" + value)
	}
	return b.String()
}

// list hands on the pages of a list to its end.
func (t *tenant) list(ctx context.Context, ref string, needs []string, each func([]item) error) error {
	_, err := t.pages(ctx, ref, false, needs, each)
	return err
}

// round hands on the pages of a delta to its end and gives the link to go on from.
func (t *tenant) round(ctx context.Context, ref string, needs []string, each func([]item) error) (link string, err error) {
	return t.pages(ctx, ref, true, needs, each)
}

// pages follows the links, as they are. A list ends with a page without one; a delta
// with a page that has a deltaLink, and no other end is one.
func (t *tenant) pages(ctx context.Context, ref string, delta bool, needs []string, each func([]item) error) (string, error) {
	seen := map[directory.Digest]bool{}
	for {
		at := directory.Sum([]byte(ref))
		if seen[at] {
			return "", fault.New(fault.Unavailable, "entra: the pages of %s lead in a circle", t.plain(ref))
		}
		seen[at] = true
		var p page
		if _, err := t.api.Get(ctx, ref, nil, &p); err != nil {
			return "", explain(err, needs)
		}
		switch {
		case p.Value == nil:
			return "", fault.New(fault.Unavailable, "entra: %s: the answer holds no list", t.plain(ref))
		case delta && (p.Next == "") == (p.Delta == ""):
			return "", fault.New(fault.Unavailable, "entra: %s: the answer says neither that it goes on nor that it ends", t.plain(ref))
		}
		if err := each(*p.Value); err != nil {
			return "", err
		}
		if p.Next == "" {
			if delta {
				if _, err := t.api.Resolve(p.Delta); err != nil {
					return "", err
				}
			}
			return p.Delta, nil
		}
		ref = p.Next
	}
}

// plain is a ref without its query, which may hold tokens of deltas.
func (t *tenant) plain(ref string) string {
	u, err := t.api.Resolve(ref)
	if err != nil {
		return "a link"
	}
	return u.Host + u.Path
}

// explain adds what a person can do about a refusal.
func explain(err error, needs []string) error {
	var e *rest.Error
	if !errors.As(err, &e) || fault.HintOf(err) != "" {
		return err
	}
	switch e.Status {
	case http.StatusForbidden:
		return fault.New(fault.Denied, "%w", err).WithHint(consent, needs[0])
	case http.StatusUnauthorized:
		return fault.New(fault.Denied, "%w", err).WithHint("Graph does not take the token: check that cloud, or login_url and graph_url, belong together.")
	}
	return err
}

// lost reports that Graph no longer knows the state a link stands for
// (delta-query-overview): everything has to be read.
func lost(err error) bool {
	var e *rest.Error
	if !errors.As(err, &e) || e.Status < 400 || e.Status >= 500 {
		return false
	}
	code := strings.ToLower(e.Code)
	return e.Status == http.StatusGone || strings.Contains(code, "syncstate") || strings.Contains(code, "resync")
}

// someIDs is how many ids a filter with "in" takes.
const someIDs = 15

// usersByID reads users in whole, by id. Who is not there is not handed on.
func (t *tenant) usersByID(ctx context.Context, w wish, ids []string, each func(item) error) error {
	for some := range slices.Chunk(ids, someIDs) {
		quoted := make([]string, len(some))
		for i, id := range some {
			quoted[i] = "'" + strings.ReplaceAll(id, "'", "''") + "'"
		}
		ref := query("/v1.0/users", append([]string{"$select", w.selectUser(), "$filter", "id in (" + strings.Join(quoted, ",") + ")"}, w.expand()...)...)
		err := t.list(ctx, ref, forUsers, func(items []item) error {
			for _, it := range items {
				if !slices.Contains(some, it.id) {
					return fault.New(fault.Unavailable, "entra: users by id: the answer holds somebody who was not asked for")
				}
				if err := each(it); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// expand asks for managers beside users. Deltas ignore it, lists do not.
func (w wish) expand() []string {
	if !w.manager {
		return nil
	}
	return []string{"$expand", "manager($select=id)"}
}

// groupByID reads a group without its members.
func (t *tenant) groupByID(ctx context.Context, id string) (item, error) {
	var it item
	ref := query("/v1.0/groups/"+url.PathEscape(id), "$select", "id,"+strings.Join(groupProperties, ","))
	if _, err := t.api.Get(ctx, ref, nil, &it); err != nil {
		return item{}, explain(err, forGroups)
	}
	if it.id != id {
		return item{}, fault.New(fault.Unavailable, "entra: group by id: the answer is another group, or none")
	}
	return it, nil
}

// membersOf reads all direct members of a group.
func (t *tenant) membersOf(ctx context.Context, id string) (members, groups []string, err error) {
	ref := query("/v1.0/groups/"+url.PathEscape(id)+"/members", "$select", "id", "$top", strconv.Itoa(t.set.pageSize))
	seen := map[string]bool{}
	err = t.list(ctx, ref, forGroups, func(items []item) error {
		for _, it := range items {
			if !it.counts() || seen[it.id] {
				continue
			}
			seen[it.id] = true
			members = append(members, it.id)
			if strings.EqualFold(it.kind, typeGroup) {
				groups = append(groups, it.id)
			}
		}
		return nil
	})
	return members, groups, err
}

// everyUser lists all users with a few properties.
func (t *tenant) everyUser(ctx context.Context, properties string, expand []string, each func(item) error) error {
	ref := query("/v1.0/users", append([]string{"$select", properties, "$top", strconv.Itoa(t.set.pageSize)}, expand...)...)
	return t.list(ctx, ref, forUsers, func(items []item) error {
		for i := range items {
			if err := each(items[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// everyGroup lists all groups, by id and name.
func (t *tenant) everyGroup(ctx context.Context, each func(id, name string)) error {
	ref := query("/v1.0/groups", "$select", "id,displayName", "$top", strconv.Itoa(t.set.pageSize))
	return t.list(ctx, ref, forGroups, func(items []item) error {
		for i := range items {
			each(items[i].id, items[i].text("displayName"))
		}
		return nil
	})
}

// idOnly is $select of a sweep: enough to know who is a guest.
func (s *settings) idOnly() string {
	if s.guests {
		return "id"
	}
	return "id,userPrincipalName,userType"
}
