package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
)

// Organization gives one organization.
func (c *Client) Organization(ctx context.Context, id string) (Organization, error) {
	return Get[Organization](ctx, c, "/organizations/"+part(id), nil)
}

// CreateOrganization makes an organization.
func (c *Client) CreateOrganization(ctx context.Context, in OrganizationInput) (Organization, error) {
	return Send[Organization](ctx, c, http.MethodPost, "/organizations", nil, in)
}

// UpdateOrganization changes an organization.
func (c *Client) UpdateOrganization(ctx context.Context, id string, in OrganizationInput) (Organization, error) {
	return Send[Organization](ctx, c, http.MethodPatch, "/organizations/"+part(id), nil, in)
}

// DeleteOrganization takes an empty organization away.
func (c *Client) DeleteOrganization(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/organizations/" + part(id)}, nil)
}

// Connection gives one connection.
func (c *Client) Connection(ctx context.Context, alias string) (Connection, error) {
	return Get[Connection](ctx, c, "/connections/"+part(alias), nil)
}

// CreateConnection makes a connection from JSON in the form of rollcall.yaml.
func (c *Client) CreateConnection(ctx context.Context, body json.RawMessage) (Connection, error) {
	return Send[Connection](ctx, c, http.MethodPost, "/connections", nil, body)
}

// UpdateConnection changes a connection by a JSON merge patch (RFC 7396).
func (c *Client) UpdateConnection(ctx context.Context, alias string, patch json.RawMessage) (Connection, error) {
	return Send[Connection](ctx, c, http.MethodPatch, "/connections/"+part(alias), nil, patch)
}

// ReplaceConnection changes a connection into what body says. A secret that it
// does not give stays where the place it was given for does.
func (c *Client) ReplaceConnection(ctx context.Context, alias string, body json.RawMessage) (Connection, error) {
	return Send[Connection](ctx, c, http.MethodPut, "/connections/"+part(alias), nil, body)
}

// DeleteConnection forgets a connection; its accounts stay.
func (c *Client) DeleteConnection(ctx context.Context, alias string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/connections/" + part(alias)}, nil)
}

// ResetConnection forgets what was read.
func (c *Client) ResetConnection(ctx context.Context, alias string) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/connections/" + part(alias) + "/reset"}, nil)
}

// StateHash gives the hash with which an application proves that it is in step.
func (c *Client) StateHash(ctx context.Context, alias string) (StateHash, error) {
	return Get[StateHash](ctx, c, "/connections/"+part(alias)+"/state", nil)
}

// Upload gives a CSV connection its file; a run follows.
func (c *Client) Upload(ctx context.Context, alias, name string, file io.Reader) (Upload, error) {
	var out Upload
	err := c.do(ctx, call{method: http.MethodPut, path: "/connections/" + part(alias) + "/file", query: query("name", name), body: file, typ: "text/csv"}, &out)
	return out, err
}

// Check goes step by step to a connection's directory; step is told of each as it
// ends, and may be nil.
func (c *Client) Check(ctx context.Context, alias string, step func(Step)) (Check, error) {
	return c.check(ctx, call{method: http.MethodPost, path: "/connections/" + part(alias) + "/check"}, step)
}

// CheckDraft is Check with settings that are not saved: body is a connection in
// the form of rollcall.yaml, or with an alias a merge patch (RFC 7396) over the one
// there is. Nothing is kept or changed.
func (c *Client) CheckDraft(ctx context.Context, alias string, body json.RawMessage, step func(Step)) (Check, error) {
	return c.check(ctx, call{method: http.MethodPost, path: "/connections/check", query: query("alias", alias), body: body}, step)
}

func (c *Client) check(ctx context.Context, r call, step func(Step)) (Check, error) {
	var out Check
	err := c.listen(ctx, r, func(m message) error {
		switch m.Name {
		case "step":
			return decode(m, step)
		case "end":
			if err := decode(m, func(all Check) { out = all }); err != nil {
				return err
			}
			return errDone
		}
		return nil
	})
	return out, err
}

// MakePlan reads a connection's directory and plans; nothing is applied. progress
// may be nil.
func (c *Client) MakePlan(ctx context.Context, alias string, in SyncInput, progress func(Progress)) (Plan, error) {
	return c.plan(ctx, call{method: http.MethodPost, path: "/connections/" + part(alias) + "/plan", body: in}, progress)
}

// Preview reads a connection's directory and plans with settings that are not
// saved: patch is a merge patch (RFC 7396) over them. Nothing is applied and
// nothing is saved. progress may be nil.
func (c *Client) Preview(ctx context.Context, alias string, patch json.RawMessage, progress func(Progress)) (Plan, error) {
	return c.plan(ctx, call{method: http.MethodPost, path: "/connections/" + part(alias) + "/preview", body: patch}, progress)
}

// Try tries rules that are not saved on live entries; nothing is kept.
func (c *Client) Try(ctx context.Context, alias string, in TryInput) (Trial, error) {
	return Send[Trial](ctx, c, http.MethodPost, "/connections/"+part(alias)+"/try", nil, in)
}

func (c *Client) plan(ctx context.Context, r call, progress func(Progress)) (Plan, error) {
	var out Plan
	err := c.listen(ctx, r, func(m message) error {
		switch m.Name {
		case "progress":
			return decode(m, progress)
		case "plan":
			if err := decode(m, func(p Plan) { out = p }); err != nil {
				return err
			}
			return errDone
		}
		return nil
	})
	return out, err
}

// Sync begins a run of a connection. Wait follows it to its end.
func (c *Client) Sync(ctx context.Context, alias string, in SyncInput) (Run, error) {
	return Send[Run](ctx, c, http.MethodPost, "/connections/"+part(alias)+"/sync", nil, in)
}

// Plan gives a plan without its rows, see Changes and Notes. id may be last.
func (c *Client) Plan(ctx context.Context, id string) (Plan, error) {
	var out Plan
	err := c.do(ctx, call{method: http.MethodGet, path: "/plans/" + part(id), query: url.Values{"changes": {"false"}}}, &out)
	return out, err
}

// Approve begins a run that carries a plan out, less the rows excluded.
func (c *Client) Approve(ctx context.Context, id string, in ApproveInput) (Run, error) {
	return Send[Run](ctx, c, http.MethodPost, "/plans/"+part(id)+"/approve", nil, in)
}

// Reject ends a plan that waits.
func (c *Client) Reject(ctx context.Context, id string) (Plan, error) {
	return Send[Plan](ctx, c, http.MethodPost, "/plans/"+part(id)+"/reject", nil, nil)
}

// Run gives a run. id may be last.
func (c *Client) Run(ctx context.Context, id string) (Run, error) {
	return Get[Run](ctx, c, "/runs/"+part(id), nil)
}

// Revert begins a run that undoes one.
func (c *Client) Revert(ctx context.Context, id string) (Run, error) {
	return Send[Run](ctx, c, http.MethodPost, "/runs/"+part(id)+"/revert", nil, nil)
}

// PlanRevert plans how a run would be undone; nothing is applied.
func (c *Client) PlanRevert(ctx context.Context, id string) (Plan, error) {
	return Send[Plan](ctx, c, http.MethodPost, "/runs/"+part(id)+"/revert/plan", nil, nil)
}

// Cancel stops a run; it does not wait for its end.
func (c *Client) Cancel(ctx context.Context, id string) (Run, error) {
	return Send[Run](ctx, c, http.MethodPost, "/runs/"+part(id)+"/cancel", nil, nil)
}

// Account gives an account by its ID; Accounts finds one by other names.
func (c *Client) Account(ctx context.Context, id string) (Account, error) {
	return Get[Account](ctx, c, "/accounts/"+part(id), nil)
}

// CreateAccount makes a local account.
func (c *Client) CreateAccount(ctx context.Context, in AccountInput) (Account, error) {
	return Send[Account](ctx, c, http.MethodPost, "/accounts", nil, in)
}

// ImportAccounts makes local accounts from a CSV table, all of them or none.
func (c *Client) ImportAccounts(ctx context.Context, organization string, table io.Reader) ([]Account, error) {
	var out struct {
		Items []Account `json:"items"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: "/accounts/import", query: query("organization", organization), body: table, typ: "text/csv"}, &out)
	return out.Items, err
}

// UpdateAccount changes a local account.
func (c *Client) UpdateAccount(ctx context.Context, id string, in AccountInput) (Account, error) {
	return Send[Account](ctx, c, http.MethodPatch, "/accounts/"+part(id), nil, in)
}

// DeleteAccount flags a local account as deleted.
func (c *Client) DeleteAccount(ctx context.Context, id string) (Account, error) {
	return Send[Account](ctx, c, http.MethodDelete, "/accounts/"+part(id), nil, nil)
}

// Group gives a group by its ID.
func (c *Client) Group(ctx context.Context, id string) (Group, error) {
	return Get[Group](ctx, c, "/groups/"+part(id), nil)
}

// Why says whether somebody is in, and through which step.
func (c *Client) Why(ctx context.Context, connection, who string) ([]Why, error) {
	var out struct {
		Items []Why `json:"items"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/why", query: query("connection", connection, "who", who)}, &out)
	return out.Items, err
}

// CreateKey makes an API key and gives it with its secret.
func (c *Client) CreateKey(ctx context.Context, in KeyInput) (NewKey, error) {
	return Send[NewKey](ctx, c, http.MethodPost, "/apikeys", nil, in)
}

// RevokeKey ends an API key at once.
func (c *Client) RevokeKey(ctx context.Context, id string) (Key, error) {
	return Send[Key](ctx, c, http.MethodDelete, "/apikeys/"+part(id), nil, nil)
}

// CreateWebhook makes a webhook and gives it with its secret.
func (c *Client) CreateWebhook(ctx context.Context, in WebhookInput) (NewWebhook, error) {
	return Send[NewWebhook](ctx, c, http.MethodPost, "/webhooks", nil, in)
}

// DeleteWebhook takes a webhook away.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/webhooks/" + part(id)}, nil)
}
