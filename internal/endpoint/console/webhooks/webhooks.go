// Package webhooks is the part of the console about addresses that are told of
// events: how each stands, what was sent to it, every attempt, and sending again.
package webhooks

import (
	"bytes"
	"embed"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/fault"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "webhooks", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /webhooks", Handle: list},
		{Pattern: "GET /new-webhook", Need: shell.Changer, Handle: blank},
		{Pattern: "POST /new-webhook", Need: shell.Changer, Handle: create},
		{Pattern: "GET /webhooks/{id}", Handle: show},
		{Pattern: "GET /webhooks/{id}/edit", Need: shell.Changer, Handle: edit},
		{Pattern: "POST /webhooks/{id}/edit", Need: shell.Changer, Handle: change},
		{Pattern: "POST /webhooks/{id}/{what}", Need: shell.Changer, Handle: act},
		{Pattern: "GET /deliveries/{id}", Handle: delivery},
		{Pattern: "POST /deliveries/{id}/replay", Need: shell.Changer, Handle: replay},
	}}
}

// families are the types of events to choose from, all of a kind by one box.
func families() []family {
	return []family{
		{"account.*", "accounts", []string{"account.created", "account.updated", "account.linked", "account.disabled", "account.enabled", "account.deleted", "account.restored", "account.purged"}},
		{"group.*", "groups", []string{"group.created", "group.updated", "group.deleted", "group.restored"}},
		{"membership.*", "memberships", []string{"membership.added", "membership.removed"}},
		{"run.*", "runs", []string{"run.applied", "run.held", "run.failed", "run.cancelled"}},
		{"plan.*", "plans", []string{"plan.approved", "plan.rejected"}},
		{"connection.*", "connections", []string{"connection.created", "connection.updated", "connection.deleted", "connection.quarantined", "connection.recovered"}},
		{"organization.*", "organizations", nil},
		{"admin.*", "administrators", nil},
		{"apikey.*", "API keys", nil},
		{"webhook.*", "webhooks", nil},
	}
}

type family struct {
	Type, Text string
	Types      []string
}

// form is a webhook as inputs.
type form struct {
	New           bool
	ID            string
	URL           string
	Description   string
	Organization  string
	Types         []string
	Others        string // types that no box stands for
	Families      []family
	Organizations []client.Organization
	Trouble       *shell.Trouble
}

func list(q *shell.Ask) error {
	values := q.Values("cursor")
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.Webhook]](q.R.Context(), q.API, "/webhooks", values)
	if err != nil {
		return err
	}
	return q.Page("list", "Webhooks", found)
}

func newForm(q *shell.Ask) (*form, error) {
	f := &form{New: true, Families: families(), Organization: q.Me.Organization}
	if !q.Me.All() {
		return f, nil
	}
	found, err := client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", url.Values{"limit": {"200"}})
	f.Organizations = found.Items
	return f, err
}

func blank(q *shell.Ask) error {
	f, err := newForm(q)
	if err != nil {
		return err
	}
	return q.Page("form", "New webhook", f)
}

// take puts what was sent into the form.
func (f *form) take(sent url.Values) {
	f.URL, f.Description = strings.TrimSpace(sent.Get("url")), strings.TrimSpace(sent.Get("description"))
	f.Types = slices.Clone(sent["types"])
	for _, t := range strings.FieldsFunc(sent.Get("others"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' }) {
		if !slices.Contains(f.Types, t) {
			f.Types = append(f.Types, t)
		}
	}
	// What stands for all of a kind stands for each of them.
	f.Types = slices.DeleteFunc(f.Types, func(t string) bool {
		kind, _, ok := strings.Cut(t, ".")
		return ok && !strings.HasSuffix(t, "*") && slices.Contains(f.Types, kind+".*")
	})
	f.others()
}

func (f *form) others() {
	var out []string
	for _, t := range f.Types {
		if !slices.ContainsFunc(f.Families, func(x family) bool { return x.Type == t || slices.Contains(x.Types, t) }) {
			out = append(out, t)
		}
	}
	f.Others = strings.Join(out, ", ")
}

// shownSecret is the page that shows a secret, once.
type shownSecret struct {
	Webhook client.NewWebhook
	Made    bool
}

func create(q *shell.Ask) error {
	f, err := newForm(q)
	if err != nil {
		return err
	}
	if err := q.R.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	f.take(q.R.PostForm)
	if given := q.R.PostForm.Get("organization"); q.Me.All() || given != "" {
		f.Organization = given // the API says whether it is theirs to give
	}
	made, err := q.API.CreateWebhook(q.R.Context(), client.WebhookInput{Organization: f.Organization, URL: f.URL, Description: f.Description, Types: f.Types})
	if err != nil {
		f.Trouble = q.Problem(err)
		return q.Refused("form", "New webhook", f)
	}
	return q.Page("secret", "The secret", shownSecret{made, true})
}

func load(q *shell.Ask) (*form, error) {
	w, err := q.API.Webhook(q.R.Context(), q.R.PathValue("id"))
	if err != nil {
		return nil, err
	}
	f := &form{ID: w.ID, URL: w.URL, Description: w.Description, Types: w.Types, Families: families(), Organization: shell.Text(w.Organization)}
	f.others()
	return f, nil
}

func edit(q *shell.Ask) error {
	f, err := load(q)
	if err != nil {
		return err
	}
	return q.Page("form", "Change the webhook", f)
}

func change(q *shell.Ask) error {
	f, err := load(q)
	if err != nil {
		return err
	}
	if err := q.R.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	f.take(q.R.PostForm)
	if f.Types == nil {
		f.Types = []string{}
	}
	if _, err := q.API.UpdateWebhook(q.R.Context(), f.ID, client.WebhookPatchInput{URL: &f.URL, Description: &f.Description, Types: &f.Types}); err != nil {
		f.Trouble = q.Problem(err)
		return q.Refused("form", "Change the webhook", f)
	}
	q.Say(shell.Path("webhooks", f.ID), "Saved.")
	return nil
}

type page struct {
	Webhook    client.Webhook
	State      string
	Deliveries client.Page[client.Delivery]
	Newest     int64
	Behind     int64 // events it was not told of, or passed over, yet
	Trouble    *shell.Trouble
}

func show(q *shell.Ask) error { return answer(q, nil) }

func answer(q *shell.Ask, trouble *shell.Trouble) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	p := page{State: q.R.URL.Query().Get("state"), Trouble: trouble}
	var err error
	if p.Webhook, err = q.API.Webhook(ctx, id); err != nil {
		return err
	}
	values := q.Values("state", "cursor")
	values.Set("limit", "50")
	if p.Deliveries, err = client.Get[client.Page[client.Delivery]](ctx, q.API, "/webhooks/"+url.PathEscape(id)+"/deliveries", values); err != nil {
		return err
	}
	end, err := q.API.LastEvents(ctx, client.EventQuery{Limit: 1})
	if err != nil {
		return err
	}
	p.Newest, p.Behind = end.Newest, max(0, end.Newest-p.Webhook.Cursor)
	if trouble != nil {
		return q.Refused("webhook", p.Webhook.URL, p)
	}
	return q.Page("webhook", p.Webhook.URL, p)
}

// act does what a button of the page says.
func act(q *shell.Ask) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	back := shell.Path("webhooks", id)
	var said string
	var err error
	switch q.R.PathValue("what") {
	case "enable", "disable":
		on := q.R.PathValue("what") == "enable"
		_, err = q.API.UpdateWebhook(ctx, id, client.WebhookPatchInput{Enabled: &on})
		if said = "It is told of nothing any more, until it is switched on again."; on {
			said = "It is told of events again, from where it stood."
		}
	case "test":
		var d client.Delivery
		if d, err = q.API.TestWebhook(ctx, id); err == nil {
			back, said = shell.Path("deliveries", d.ID), "The test message is on its way."
		}
	case "secret":
		return rotate(q)
	case "dead":
		var n client.Replayed
		if n, err = q.API.ReplayWebhook(ctx, id, client.ReplayInput{}); err == nil && n.Deliveries != nil {
			said = shell.Count(*n.Deliveries, "message is", "messages are") + " sent again."
		}
	case "since":
		after, wrong := strconv.ParseInt(strings.ReplaceAll(strings.TrimSpace(q.R.PostFormValue("after")), ",", ""), 10, 64)
		if wrong != nil || after < 0 {
			return answer(q, &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: "The number of an event is digits alone."})
		}
		_, err = q.API.ReplayWebhook(ctx, id, client.ReplayInput{After: &after})
		said = "Everything behind that event is sent again, bit by bit."
	case "delete":
		back, said = "/webhooks", "The webhook is gone, with its deliveries."
		err = q.API.DeleteWebhook(ctx, id)
	default:
		http.NotFound(q.W, q.R)
		return nil
	}
	if err != nil {
		return answer(q, q.Problem(err))
	}
	q.Say(back, said)
	return nil
}

// rotate makes another secret, and shows it.
func rotate(q *shell.Ask) error {
	hours, err := strconv.Atoi(q.R.PostFormValue("overlap"))
	if err != nil || hours < 0 || hours > 720 {
		return answer(q, &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: "How long the old secret stays good is hours, 720 at the most."})
	}
	seconds := hours * 3600
	w, err := q.API.RotateWebhook(q.R.Context(), q.R.PathValue("id"), client.RotateInput{OverlapSeconds: &seconds})
	if err != nil {
		return answer(q, q.Problem(err))
	}
	return q.Page("secret", "The secret", shownSecret{Webhook: w})
}

type deliveryPage struct {
	Delivery client.SentDelivery
	Webhook  client.Webhook
	Attempts []client.Attempt
	Body     string
	Trouble  *shell.Trouble
}

func delivery(q *shell.Ask) error { return answerDelivery(q, nil) }

func answerDelivery(q *shell.Ask, trouble *shell.Trouble) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	p := deliveryPage{Trouble: trouble}
	var err error
	if p.Delivery, err = q.API.Delivery(ctx, id); err != nil {
		return err
	}
	if p.Webhook, err = q.API.Webhook(ctx, p.Delivery.Webhook); err != nil {
		return err
	}
	if p.Attempts, err = q.API.Attempts(ctx, id); err != nil {
		return err
	}
	p.Body = pretty(p.Delivery.Body)
	if trouble != nil {
		return q.Refused("delivery", "Delivery", p)
	}
	return q.Page("delivery", "Delivery", p)
}

// longestBody is how much of a body is shown.
const longestBody = 32 << 10

// pretty is a body for reading; "" where there is none any more.
func pretty(body json.RawMessage) string {
	if len(body) == 0 || string(body) == "null" {
		return ""
	}
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") != nil {
		return string(body)
	}
	if b.Len() > longestBody {
		return strings.ToValidUTF8(b.String()[:longestBody], "") + "\n…"
	}
	return b.String()
}

func replay(q *shell.Ask) error {
	d, err := q.API.ReplayDelivery(q.R.Context(), q.R.PathValue("id"))
	if err != nil {
		return answerDelivery(q, q.Problem(err))
	}
	q.Say(shell.Path("deliveries", d.ID), "It is sent again, under the same ID.")
	return nil
}
