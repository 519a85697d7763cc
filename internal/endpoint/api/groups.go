package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/people"
)

// GroupPath names a group.
type GroupPath struct {
	ID string `path:"id" doc:"The group's ID." maxLength:"64"`
}

func (s *server) groups() {
	const tag = "groups"
	register(s, operation{id: "list-groups", method: http.MethodGet, path: "/groups", tag: tag, summary: "List groups by name, with their number of members", fails: []int{http.StatusNotFound}}, s.listGroups)
	register(s, operation{id: "get-group", method: http.MethodGet, path: "/groups/{id}", tag: tag, summary: "Show a group"},
		func(ctx context.Context, in *GroupPath) (*body[account.Group], error) {
			g, err := s.group(ctx, in.ID)
			return &body[account.Group]{g}, err
		})
	register(s, operation{id: "list-group-members", method: http.MethodGet, path: "/groups/{id}/members", tag: tag, summary: "List the accounts in a group, those of nested groups included, whatever their status"},
		func(ctx context.Context, in *struct {
			GroupPath
			Paging
			Q    string `query:"q" maxLength:"200" doc:"Only those whose names, addresses or IDs contain all of these words; the best fit first."`
			Sort string `query:"sort" enum:"name" doc:"By name."`
		}) (*pageOf[*account.Account], error) {
			return s.listAccounts(ctx, &accountList{Paging: in.Paging, AccountFilter: AccountFilter{Group: in.ID, Q: in.Q}, Sort: in.Sort})
		})
	register(s, operation{id: "get-group-tree", method: http.MethodGet, path: "/groups/{id}/tree", tag: tag, summary: "The groups in a group, and those it is in",
		description: "As the latest picture of the directory has them. Every group is unfolded once, and a cycle is cut and said."}, s.groupTree)
	register(s, operation{id: "list-group-events", method: http.MethodGet, path: "/groups/{id}/events", tag: tag, summary: "What happened to a group and who came and went, the newest first"}, s.groupHistory)
	streams(s, operation{id: "export-groups", method: http.MethodGet, path: "/groups/export", tag: tag, summary: "All groups, or all memberships, as CSV or NDJSON",
		description: "With `members=true` a row for every membership: group and account by ID.", fails: []int{http.StatusNotFound}},
		map[string]*huma.Schema{"text/csv": text, "application/x-ndjson": text}, s.exportGroups)
}

// group finds a group that the caller's key reaches.
func (s *server) group(ctx context.Context, text string) (account.Group, error) {
	id, err := account.ParseID(text)
	if err != nil {
		return account.Group{}, fault.New(fault.NotFound, "there is no group %q", text).WithHint("`GET %s/groups` lists them", Prefix)
	}
	return s.Store.AccountTable.Group(ctx, callerOf(ctx).Organization, id)
}

func (s *server) listGroups(ctx context.Context, in *struct {
	Paging
	Narrow
	Q string `query:"q" maxLength:"200" doc:"Only groups whose name or external ID contains all of these words, whatever their case and accents."`
}) (*pageOf[account.Group], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	list := fmt.Sprintf("groups %q %q %q", organization, in.Connection, in.Q)
	var after accounts.GroupPlace
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	var found []account.Group
	if in.Q == "" {
		found, err = s.Store.AccountTable.GroupPage(ctx, organization, in.Connection, after, in.Limit+1)
	} else {
		words := strings.Fields(people.Plain(in.Q))
		found, err = s.Store.AccountTable.GroupsFound(ctx, organization, in.Connection, after, in.Limit+1, func(g *account.Group) bool {
			text := people.Plain(g.Name + " " + g.ExternalID)
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
		})
	}
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(g account.Group) any { return accounts.GroupPlace{Name: g.Name, ID: g.ID} })
}

func (s *server) exportGroups(ctx context.Context, in *struct {
	Narrow
	Format  string `query:"format" enum:"csv,ndjson" default:"ndjson"`
	Members bool   `query:"members" doc:"A row for every membership."`
}) (func(huma.Context), error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	first, err := s.Store.AccountTable.GroupPage(ctx, organization, in.Connection, accounts.GroupPlace{}, exportPage)
	if err != nil {
		return nil, err
	}
	return func(h huma.Context) {
		whole(writeGroups(h, in.Format, in.Members, func(fn func(g account.Group, member *account.ID) error) error {
			for list := first; len(list) > 0; {
				for _, g := range list {
					if err := s.eachRow(h.Context(), g, in.Members, fn); err != nil {
						return err
					}
				}
				if len(list) < exportPage {
					return nil
				}
				last := list[len(list)-1]
				var err error
				if list, err = s.Store.AccountTable.GroupPage(h.Context(), organization, in.Connection, accounts.GroupPlace{Name: last.Name, ID: last.ID}, exportPage); err != nil {
					return err
				}
			}
			return nil
		}))
	}, nil
}

func (s *server) eachRow(ctx context.Context, g account.Group, members bool, fn func(account.Group, *account.ID) error) error {
	if !members {
		return fn(g, nil)
	}
	var ids []account.ID
	if err := s.Store.AccountTable.Members(ctx, g.ID, func(id account.ID) { ids = append(ids, id) }); err != nil {
		return err
	}
	for i := range ids {
		if err := fn(g, &ids[i]); err != nil {
			return err
		}
	}
	return nil
}

func writeGroups(h huma.Context, format string, members bool, each func(func(account.Group, *account.ID) error) error) error {
	if format != "csv" {
		out := exporting(h, "application/x-ndjson", "groups.ndjson")
		err := each(func(g account.Group, member *account.ID) error {
			if members {
				return out.line(client.Membership{Group: g.ID.String(), Account: member.String()})
			}
			return out.line(g)
		})
		if err != nil {
			return err
		}
		return out.end()
	}
	out := exporting(h, "text/csv; charset=utf-8", "groups.csv")
	w := csv.NewWriter(out)
	head := []string{"id", "organization", "connection", "external_id", "name", "members"}
	if members {
		head = []string{"group", "account"}
	}
	err := w.Write(head)
	if err == nil {
		err = each(func(g account.Group, member *account.ID) error {
			if members {
				return w.Write([]string{g.ID.String(), member.String()})
			}
			return w.Write([]string{g.ID.String(), g.Organization, g.Connection, account.FormulaSafe(g.ExternalID), account.FormulaSafe(g.Name), fmt.Sprint(g.Members)})
		})
	}
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	if err != nil {
		return err
	}
	return out.end()
}
