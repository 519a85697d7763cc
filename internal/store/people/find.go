package people

import (
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
)

// Query narrows people. Zero fields do not narrow.
type Query struct {
	Connection string
	Status     account.Status
	Manager    account.ID
	Members    map[account.ID]struct{} // only these, where it is not nil
	Search     string                  // what their names, addresses, IDs or custom attributes hold: all of its words
	After      *Place                  // where the list goes on
	Limit      int
}

// Place is one person's place in a list.
type Place struct {
	Rank int
	Key  string
	ID   account.ID
}

// How well somebody fits, best first.
const (
	whole     = iota // one of the values is what is searched
	beginning        // one of the values begins with it
	word             // a word in one does
	inside           // it is somewhere within one
	scattered        // each word of it is somewhere
	ranks
	none = -1
)

// Find gives people, the best fit first and then by name; those who left come
// behind all others. It gives at most Limit.
func (p *Picture) Find(q Query) ([]account.ID, []Place) {
	search := Plain(q.Search)
	parts := strings.Fields(search)
	var found [2 * ranks][]int32
	for i := range p.list {
		one := &p.list[i]
		if q.Connection != "" && one.Connection != q.Connection || q.Status != "" && one.Status != q.Status || !q.Manager.IsZero() && one.Manager != q.Manager {
			continue
		}
		if q.Members != nil {
			if _, in := q.Members[one.ID]; !in {
				continue
			}
		}
		rank := whole
		if search != "" {
			if rank = fit(one.text, search, parts); rank == none {
				continue
			}
			if one.Left {
				rank += ranks
			}
		}
		found[rank] = append(found[rank], int32(i))
	}
	var ids []account.ID
	var places []Place
	for rank, list := range found {
		if q.After != nil {
			if rank < q.After.Rank {
				continue
			}
			if rank == q.After.Rank {
				at, same := slices.BinarySearchFunc(list, *q.After, func(i int32, after Place) int { return compare(p.list[i].key, p.list[i].ID, after.Key, after.ID) })
				if same {
					at++
				}
				list = list[at:]
			}
		}
		for _, i := range list {
			if len(ids) == q.Limit {
				return ids, places
			}
			ids, places = append(ids, p.list[i].ID), append(places, Place{rank, p.list[i].key, p.list[i].ID})
		}
	}
	return ids, places
}

// fit says how well a text fits, or none.
func fit(text, search string, parts []string) int {
	best := none
	for from := 0; ; {
		i := strings.Index(text[from:], search)
		if i < 0 {
			break
		}
		i += from
		rank := inside
		switch before := text[i-1]; { // a text begins with a line break, a search never does
		case before == '\n' && text[i+len(search)] == '\n':
			return whole
		case before == '\n':
			rank = beginning
		case strings.IndexByte(" .-_@'", before) >= 0:
			rank = word
		}
		if best == none || rank < best {
			best = rank
		}
		from = i + 1
	}
	if best != none || len(parts) < 2 {
		return best
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return none
		}
	}
	return scattered
}

// Counts are people by status, with how many no connection keeps.
type Counts struct{ Active, Disabled, Deleted, Local int }

// Count counts the people a connection keeps ("" for all). The deleted are not
// among the local ones.
func (p *Picture) Count(connection string) Counts {
	var c Counts
	for i := range p.list {
		one := &p.list[i]
		if connection != "" && one.Connection != connection {
			continue
		}
		switch one.Status {
		case account.Active:
			c.Active++
		case account.Disabled:
			c.Disabled++
		case account.Deleted:
			c.Deleted++
			continue
		}
		if one.Connection == account.Local {
			c.Local++
		}
	}
	return c
}
