package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/ledger"
)

// AccountPath names an account.
type AccountPath struct {
	ID string `path:"id" doc:"The account's ID." maxLength:"64"`
}

// AccountFilter narrows a list of accounts.
type AccountFilter struct {
	Organization string `query:"organization" doc:"Only this organization's."`
	Connection   string `query:"connection" doc:"Only those this connection keeps, by alias; local for those of none."`
	Status       string `query:"status" enum:"active,disabled,deleted" doc:"Only these."`
	Group        string `query:"group" format:"uuid" doc:"Only members of this group, by ID."`
	Manager      string `query:"manager" format:"uuid" doc:"Only those who report directly to this account, by ID."`
	Q            string `query:"q" maxLength:"200" doc:"Only those whose username, e-mail address, name, ID, external ID or custom attributes contain all of these words, whatever their case and accents; the best fit first."`
	Who          string `query:"who" maxLength:"1000" doc:"Only those that this names exactly: an ID, username, e-mail address or external ID."`
}

func (s *server) accounts() {
	const tag = "accounts"
	register(s, operation{id: "list-accounts", method: http.MethodGet, path: "/accounts", tag: tag, summary: "List accounts", fails: []int{http.StatusNotFound}}, s.listAccounts)
	register(s, operation{id: "count-accounts", method: http.MethodGet, path: "/accounts/counts", tag: tag, summary: "Count accounts by status", fails: []int{http.StatusNotFound}}, s.countAccounts)
	register(s, operation{id: "get-account", method: http.MethodGet, path: "/accounts/{id}", tag: tag, summary: "Show an account"},
		func(ctx context.Context, in *AccountPath) (*body[*account.Account], error) {
			a, err := s.account(ctx, in.ID)
			return &body[*account.Account]{a}, err
		})
	register(s, operation{id: "list-account-events", method: http.MethodGet, path: "/accounts/{id}/events", tag: tag, summary: "What happened to an account, the newest first"}, s.history)
	register(s, operation{id: "create-account", method: http.MethodPost, path: "/accounts", tag: tag, summary: "Make a local account, one that no connection keeps",
		status: http.StatusCreated, fails: []int{http.StatusConflict, http.StatusNotFound}}, s.createAccount)
	register(s, operation{id: "update-account", method: http.MethodPatch, path: "/accounts/{id}", tag: tag, summary: "Change a local account",
		description: "One that a connection keeps is changed in its directory.", fails: []int{http.StatusConflict}}, s.updateAccount)
	register(s, operation{id: "delete-account", method: http.MethodDelete, path: "/accounts/{id}", tag: tag, summary: "Flag a local account as deleted",
		description: "It is kept; set to active it comes back as it was.", fails: []int{http.StatusConflict}}, s.deleteAccount)
	register(s, operation{id: "import-accounts", method: http.MethodPost, path: "/accounts/import", tag: tag, summary: "Make local accounts from a CSV table: all of them or none",
		description: "The first line names the columns: username, email, first_name, last_name, and any of the other fields, password, and attributes.NAME.", anytime: true,
		status: http.StatusCreated, fails: []int{http.StatusConflict, http.StatusNotFound},
		takes: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": {Schema: text}}}}, s.importAccounts)
	streams(s, operation{id: "export-accounts", method: http.MethodGet, path: "/accounts/export", tag: tag, summary: "All accounts as CSV, NDJSON or JSON",
		description: "CSV leaves custom attributes and groups out. Of any length; an answer that breaks off ends the connection.", fails: []int{http.StatusNotFound}},
		map[string]*huma.Schema{"text/csv": text, "application/x-ndjson": text, "application/json": {Type: "array", Items: s.schemaOf(client.Account{})}}, s.exportAccounts)
}

func noAccount(id string) error {
	return fault.New(fault.NotFound, "there is no account %q", id).WithHint("`GET %s/accounts?who=` finds one by username, e-mail address or external ID", Prefix)
}

// account finds an account that the caller's key reaches.
func (s *server) account(ctx context.Context, text string) (*account.Account, error) {
	id, err := account.ParseID(text)
	if err != nil {
		return nil, noAccount(text)
	}
	found, err := s.Store.AccountTable.Fetch(ctx, []account.ID{id})
	if err != nil {
		return nil, err
	}
	a, own := found[id], callerOf(ctx).Organization
	if a == nil || own != "" && a.Organization != own {
		return nil, noAccount(text)
	}
	return a, s.Store.AccountTable.WithGroups(ctx, []*account.Account{a})
}

// narrowed checks a filter and gives it as the store takes it.
func (s *server) narrowed(ctx context.Context, in AccountFilter) (accounts.Filter, error) {
	f := accounts.Filter{Connection: in.Connection, Status: account.Status(in.Status), Search: in.Q}
	var err error
	if f.Organization, err = within(ctx, in.Organization); err != nil {
		return f, err
	}
	if in.Manager != "" {
		m, err := s.account(ctx, in.Manager)
		if err != nil {
			return f, err
		}
		f.Manager = m.ID
	}
	if in.Group == "" {
		return f, nil
	}
	g, err := s.group(ctx, in.Group)
	f.Group = g.ID
	return f, err
}

// accountList is how a list of accounts is asked for.
type accountList struct {
	Paging
	AccountFilter
	Sort string   `query:"sort" enum:"name" doc:"By name; otherwise in an order that means nothing, or the best fit first where something is searched."`
	IDs  []string `query:"ids" maxItems:"100" doc:"Only these, separated by commas; those that are not there are left out."`
}

func (s *server) listAccounts(ctx context.Context, in *accountList) (*pageOf[*account.Account], error) {
	f, err := s.narrowed(ctx, in.AccountFilter)
	if err != nil {
		return nil, err
	}
	if len(in.IDs) > 0 {
		return s.these(ctx, f.Organization, in.IDs)
	}
	if in.Who != "" {
		return s.named(ctx, f, in.Who)
	}
	list := fmt.Sprintf("accounts %q %q %q %q %q %q %q", f.Organization, f.Connection, f.Status, f.Search, f.Group, f.Manager, in.Sort)
	if f.Search != "" || in.Sort != "" {
		return s.people(ctx, list, f, in.Paging)
	}
	if err := openCursor(list, in.Cursor, &f.After); err != nil {
		return nil, err
	}
	f.Limit = in.Limit + 1
	found, err := s.some(ctx, f)
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(a *account.Account) any { return a.ID })
}

// named finds accounts by a name of theirs; nobody is an empty list.
func (s *server) named(ctx context.Context, f accounts.Filter, word string) (*pageOf[*account.Account], error) {
	out := &pageOf[*account.Account]{Body: Page[*account.Account]{Items: []*account.Account{}}}
	found, err := s.Store.AccountTable.Find(ctx, f.Organization, word)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	for _, a := range found {
		if (f.Connection == "" || a.Connection == f.Connection) && (f.Status == "" || a.Status == f.Status) {
			out.Body.Items = append(out.Body.Items, a)
		}
	}
	return out, nil
}

// these gives accounts by their IDs.
func (s *server) these(ctx context.Context, organization string, texts []string) (*pageOf[*account.Account], error) {
	out := &pageOf[*account.Account]{Body: Page[*account.Account]{Items: []*account.Account{}}}
	ids := make([]account.ID, len(texts))
	for i, text := range texts {
		var err error
		if ids[i], err = account.ParseID(text); err != nil {
			return nil, fault.New(fault.Invalid, "ids: %q is not the ID of an account", text)
		}
	}
	found, err := s.Store.AccountTable.Fetch(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if a := found[id]; a != nil && (organization == "" || a.Organization == organization) {
			out.Body.Items = append(out.Body.Items, a)
			delete(found, id) // asked for twice it comes once
		}
	}
	return out, s.Store.AccountTable.WithGroups(ctx, out.Body.Items)
}

// some gives a piece of the accounts, with their groups.
func (s *server) some(ctx context.Context, f accounts.Filter) ([]*account.Account, error) {
	var found []*account.Account
	err := s.Store.AccountTable.List(ctx, f, func(a *account.Account) error {
		found = append(found, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, s.Store.AccountTable.WithGroups(ctx, found)
}

func (s *server) history(ctx context.Context, in *struct {
	AccountPath
	Paging
}) (*pageOf[event.Event], error) {
	a, err := s.account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list := "history " + a.ID.String()
	before := int64(math.MaxInt64)
	if err := openCursor(list, in.Cursor, &before); err != nil {
		return nil, err
	}
	var found []event.Event
	err = s.Store.EventTable.History(ctx, a.ID, before, in.Limit+1, func(e event.Event) error {
		found = append(found, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(e event.Event) any { return e.ID })
}

// texts gives the text fields of an input by name; nil for those not named.
func texts(in *client.AccountInput) map[account.Field]*string {
	return map[account.Field]*string{
		account.Username: in.Username, account.Email: in.Email, account.FirstName: in.FirstName, account.LastName: in.LastName,
		account.DisplayName: in.DisplayName, account.MobilePhone: in.MobilePhone, account.Phone: in.Phone, account.Language: in.Language,
		account.Title: in.Title, account.Department: in.Department, account.Location: in.Location, account.Role: in.Role,
	}
}

// sane checks the names of custom attributes and the password, and hashes it where
// it is wanted.
func sane(ctx context.Context, in *client.AccountInput, hashed bool) (hash *string, err error) {
	for name := range in.Attributes {
		if err := config.CheckAttribute(name); err != nil {
			return nil, fault.New(fault.Invalid, "attributes: %w", err)
		}
	}
	if in.Password == nil {
		return nil, nil
	}
	if *in.Password == "" {
		return nil, fault.New(fault.Invalid, "the password is empty").WithHint("leave it out where there is to be none")
	}
	if strings.ContainsRune(*in.Password, 0) {
		return nil, fault.New(fault.Invalid, "the password holds a NUL character")
	}
	if !hashed {
		return nil, nil
	}
	h, err := seal.HashPassword(ctx, *in.Password)
	return &h, err
}

func (s *server) createAccount(ctx context.Context, in *body[client.AccountInput]) (*body[*account.Account], error) {
	organization, err := within(ctx, in.Body.Organization)
	if err != nil {
		return nil, err
	}
	if organization == "" {
		return nil, fault.New(fault.Invalid, "organization is missing").WithHint("the API key reaches all of them: say whose account it is")
	}
	if in.Body.Manager != nil || in.Body.Status != nil && *in.Body.Status != string(account.Active) {
		return nil, fault.New(fault.Invalid, "an account is made active and without a manager").WithHint("change it afterwards")
	}
	if _, err := sane(ctx, &in.Body, false); err != nil {
		return nil, err
	}
	row := map[string]string{}
	for f, v := range texts(&in.Body) {
		if v != nil {
			row[f.String()] = *v
		}
	}
	for name, v := range in.Body.Attributes {
		if v != nil {
			row[ledger.AttributePrefix+name] = *v
		}
	}
	if in.Body.Password != nil {
		row["password"] = *in.Body.Password
	}
	one, err := ledger.NewLocal(ctx, row, s.Now())
	if err != nil {
		return nil, err
	}
	list := []ledger.Local{one}
	if err := s.Store.LedgerTable.CreateLocal(ctx, organization, callerOf(ctx).Actor, list); err != nil {
		return nil, err
	}
	a, err := s.account(ctx, list[0].Account.ID.String())
	return &body[*account.Account]{a}, err
}

// mostImported is how many bytes a table of local accounts may have.
const mostImported = 64 << 20

func (s *server) importAccounts(ctx context.Context, in *struct {
	Streamed
	Organization string `query:"organization" doc:"Whose accounts they are. May be left out where the key reaches one organization only."`
}) (*pageOf[*account.Account], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	if organization == "" {
		return nil, fault.New(fault.Invalid, "organization is missing").WithHint("the API key reaches all of them: say whose accounts they are")
	}
	list, err := ledger.ReadTable(ctx, http.MaxBytesReader(nil, io.NopCloser(in.body), mostImported), s.Now())
	if err != nil {
		return nil, err
	}
	if err := s.Store.LedgerTable.CreateLocal(ctx, organization, callerOf(ctx).Actor, list); err != nil {
		return nil, err
	}
	out := &pageOf[*account.Account]{Body: Page[*account.Account]{Items: make([]*account.Account, len(list))}}
	for i := range list {
		out.Body.Items[i] = &list[i].Account
	}
	return out, nil
}

func (s *server) updateAccount(ctx context.Context, in *struct {
	AccountPath
	Body client.AccountInput
}) (*body[*account.Account], error) {
	a, err := s.account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Body.Organization != "" && in.Body.Organization != a.Organization {
		return nil, fault.New(fault.Invalid, "the organization of an account cannot be changed")
	}
	e := ledger.Edit{Text: map[account.Field]string{}, Attributes: in.Body.Attributes, Why: "changed by hand"}
	if e.Hash, err = sane(ctx, &in.Body, true); err != nil {
		return nil, err
	}
	for f, v := range texts(&in.Body) {
		if v != nil {
			e.Text[f] = *v
		}
	}
	if in.Body.Manager != nil {
		var id account.ID
		if err := id.UnmarshalText([]byte(*in.Body.Manager)); err != nil {
			return nil, fault.New(fault.Invalid, "manager: %q is not the ID of an account", *in.Body.Manager)
		}
		e.Manager = &id
	}
	if in.Body.Status != nil {
		status := account.Status(*in.Body.Status)
		e.Status = &status
	}
	a, err = s.Store.LedgerTable.ChangeLocal(ctx, callerOf(ctx).Organization, a.ID, e, callerOf(ctx).Actor)
	return &body[*account.Account]{a}, err
}

func (s *server) deleteAccount(ctx context.Context, in *AccountPath) (*body[*account.Account], error) {
	a, err := s.account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if a.Status == account.Deleted {
		return &body[*account.Account]{a}, nil
	}
	gone := account.Deleted
	a, err = s.Store.LedgerTable.ChangeLocal(ctx, callerOf(ctx).Organization, a.ID, ledger.Edit{Status: &gone, Why: "deleted by hand"}, callerOf(ctx).Actor)
	return &body[*account.Account]{a}, err
}

// exportPage is how many rows of an export are read at a time: nothing of the
// database is held while somebody reads slowly.
const exportPage = 1000

func (s *server) exportAccounts(ctx context.Context, in *struct {
	AccountFilter
	Format string `query:"format" enum:"csv,ndjson,json" default:"ndjson"`
}) (func(huma.Context), error) {
	f, err := s.narrowed(ctx, in.AccountFilter)
	if err != nil {
		return nil, err
	}
	if in.Who != "" {
		return nil, fault.New(fault.Invalid, "who is for lists, an export takes the other filters")
	}
	if f.Search != "" {
		return s.exportFound(ctx, f, in.Format)
	}
	f.Limit = exportPage
	first, err := s.some(ctx, f)
	if err != nil {
		return nil, err
	}
	return func(h huma.Context) {
		whole(writeAccounts(h, in.Format, func(fn func(*account.Account) error) error {
			for list := first; len(list) > 0; {
				for _, a := range list {
					if err := fn(a); err != nil {
						return err
					}
				}
				if len(list) < exportPage {
					return nil
				}
				var err error
				f.After = list[len(list)-1].ID
				if list, err = s.some(h.Context(), f); err != nil {
					return err
				}
			}
			return nil
		}))
	}, nil
}

// exporting begins an answer that is saved as a file.
func exporting(h huma.Context, contentType, name string) *buffered {
	h.SetHeader("Content-Disposition", `attachment; filename="`+name+"-"+time.Now().UTC().Format("2006-01-02")+`"`)
	return &buffered{w: outputOf(h, contentType)}
}

func writeAccounts(h huma.Context, format string, each func(func(*account.Account) error) error) error {
	switch format {
	case "csv":
		out := exporting(h, "text/csv; charset=utf-8", "accounts.csv")
		w := csv.NewWriter(out)
		err := w.Write(account.Columns())
		if err == nil {
			err = each(func(a *account.Account) error { return w.Write(a.Cells()) })
		}
		w.Flush()
		if err == nil {
			err = w.Error()
		}
		if err != nil {
			return err
		}
		return out.end()
	case "json":
		out := exporting(h, "application/json", "accounts.json")
		out.text("[")
		if err := each(func(a *account.Account) error { return out.item(a) }); err != nil {
			return err
		}
		out.text("]\n")
		return out.end()
	}
	out := exporting(h, "application/x-ndjson", "accounts.ndjson")
	if err := each(func(a *account.Account) error { return out.line(a) }); err != nil {
		return err
	}
	return out.end()
}
