package google

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/rest"
)

// The largest pages there are (reference of users.list, groups.list, members.list).
const (
	mostUsers   = 500
	mostGroups  = 200
	mostMembers = 200
)

// throttles are the reasons with which Google says that it is asked too often, mostly
// with status 403 (guides/limits); written in small letters only.
var throttles = []string{"userratelimitexceeded", "ratelimitexceeded", "quotaexceeded", "concurrentlimitexceeded", "resourceexhausted"}

func plainCode(code string) string { return strings.ToLower(strings.ReplaceAll(code, "_", "")) }

func throttled(e *rest.Error) bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusForbidden && slices.Contains(throttles, plainCode(e.Code))
}

// retry is the usual, and takes a 403 that means "later" for one.
func retry(e *rest.Error, now time.Time) (time.Duration, bool) {
	if throttled(e) {
		return 0, true
	}
	return rest.Retryable(e, now)
}

// refusal finds the reason in an error of Google: {"error":{"code":403,"message":"…",
// "errors":[{"reason":"quotaExceeded"}],"status":"…","details":[{"reason":"…"}]}}.
func refusal(status int, h http.Header, body []byte) rest.Refusal {
	r := rest.Explain(status, h, body)
	var b struct {
		Error struct {
			Status string `json:"status"`
			Errors []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
			Details []struct {
				Reason string `json:"reason"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &b) != nil {
		return r
	}
	for _, e := range append(b.Error.Errors, b.Error.Details...) {
		if e.Reason != "" {
			r.Code = e.Reason
			break
		}
	}
	return r
}

// explain adds what a person can do about a refusal; scope is what the request needs.
func (w *workspace) explain(err error, scope string) error {
	var e *rest.Error
	if !errors.As(err, &e) || fault.HintOf(err) != "" {
		return err
	}
	switch {
	case throttled(e):
		return fault.New(fault.Unavailable, "%w", err).WithHint("Google limits how much may be asked (2,400 requests a minute for one administrator and project); the next run tries again. Fewer requests at once (parallel) may help.")
	case e.Status != http.StatusForbidden && e.Status != http.StatusUnauthorized:
		return err
	}
	f := fault.New(fault.Denied, "%w", err)
	switch code := plainCode(e.Code); {
	case code == "accessnotconfigured" || code == "servicedisabled":
		return f.WithHint("Enable the Admin SDK API in the Google Cloud project of the service account: APIs & Services, Library, Admin SDK API, Enable.")
	case code == "dailylimitexceeded":
		return f.WithHint("The Google Cloud project has used up what it may ask in a day: raise the quota of the Admin SDK API, or sync less often.")
	case code == "domaincannotuseapis":
		return f.WithHint("The account does not allow its directory to be read by API: in the Google Admin console, Security, API controls.")
	case strings.Contains(code, "scope") || code == "insufficientpermissions":
		return f.WithHint("%s Missing is %s.", w.set.delegate(), scope)
	}
	return f.WithHint("%s needs an administrator's role that may read this (Google Admin console, Account, Admin roles; privileges Users: Read, Groups: Read, Organizational Units: Read), and the service account the scope %s.", w.set.subject, scope)
}

// The lists there are, by the kind that an answer says it is.
const (
	kindUsers    = "admin#directory#users"
	kindGroups   = "admin#directory#groups"
	kindMembers  = "admin#directory#members"
	kindOrgUnits = "admin#directory#orgUnits"
)

var scopeOf = map[string]string{kindUsers: scopeUsers, kindGroups: scopeGroups, kindMembers: scopeMembers, kindOrgUnits: scopeOrgUnits}

// page is an answer with a part of a list. A list without anybody is left out.
type page struct {
	Kind              string            `json:"kind"`
	Next              string            `json:"nextPageToken"`
	Users             []json.RawMessage `json:"users"`
	Groups            []json.RawMessage `json:"groups"`
	Members           []json.RawMessage `json:"members"`
	OrganizationUnits []json.RawMessage `json:"organizationUnits"`
}

func (p *page) entries() []json.RawMessage {
	switch p.Kind {
	case kindUsers:
		return p.Users
	case kindGroups:
		return p.Groups
	case kindMembers:
		return p.Members
	}
	return p.OrganizationUnits
}

// errEnough ends a list before its end, without an error.
var errEnough = errors.New("enough")

// list goes through the pages of a list to its end. A page without entries is asked for
// once more before it is believed, since Google was seen to leave them out in a good
// answer; one that goes on all the same is not believed at all.
func (w *workspace) list(ctx context.Context, kind, path string, query url.Values, each func([]json.RawMessage) error) error {
	seen := map[string]bool{}
	for {
		ref := path + "?" + query.Encode()
		var p page
		for range 2 {
			p = page{}
			if _, err := w.api.Get(ctx, ref, nil, &p); err != nil {
				return w.explain(err, scopeOf[kind])
			}
			if p.Kind != kind {
				return fault.New(fault.Unavailable, "google: %s: the answer is not the list that was asked for", path)
			}
			// Members of nobody are usual, and told by the group.
			if len(p.entries()) > 0 || kind == kindMembers || kind == kindOrgUnits {
				break
			}
		}
		if err := each(p.entries()); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
		switch {
		case p.Next == "":
			return nil
		case len(p.entries()) == 0:
			return fault.New(fault.Unavailable, "google: %s: a page without entries says that there are more", path)
		case seen[p.Next]:
			return fault.New(fault.Unavailable, "google: %s: the pages lead in a circle", path)
		}
		seen[p.Next] = true
		query.Set("pageToken", p.Next)
	}
}

const root = "/admin/directory/v1"

// account is the part of a query that says whose people and groups.
func (s *settings) account(size int) url.Values {
	q := url.Values{"maxResults": {strconv.Itoa(size)}}
	if s.domain != "" {
		q.Set("domain", s.domain)
	} else {
		q.Set("customer", s.customer)
	}
	return q
}

// users goes through everybody. fields is what is read of each; "" asks for all.
func (w *workspace) users(ctx context.Context, want wish, each func([]json.RawMessage) error) error {
	q := w.set.account(mostUsers)
	q.Set("projection", want.projection())
	q.Set("fields", "kind,nextPageToken,users("+want.fields()+")")
	return w.list(ctx, kindUsers, root+"/users", q, each)
}

// groupFields are what is read of a group.
const groupFields = "id,email,name,description,aliases,directMembersCount"

func (w *workspace) everyGroup(ctx context.Context, each func(*group) error) error {
	q := w.set.account(mostGroups)
	q.Set("fields", "kind,nextPageToken,groups("+groupFields+")")
	return w.list(ctx, kindGroups, root+"/groups", q, func(entries []json.RawMessage) error {
		for _, raw := range entries {
			g := &group{}
			if err := json.Unmarshal(raw, g); err != nil || g.ID == "" {
				return fault.New(fault.Unavailable, "google: an entry of the list of groups is none")
			}
			if err := each(g); err != nil {
				return err
			}
		}
		return nil
	})
}

// member of a group (reference of members).
type member struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// The types of members.
const (
	memberGroup    = "GROUP"
	memberCustomer = "CUSTOMER" // everybody in the account
)

func (w *workspace) membersOf(ctx context.Context, id string, size int, each func(member) error) error {
	q := url.Values{"maxResults": {strconv.Itoa(size)}, "fields": {"kind,nextPageToken,members(id,type)"}}
	return w.list(ctx, kindMembers, root+"/groups/"+url.PathEscape(id)+"/members", q, func(entries []json.RawMessage) error {
		for _, raw := range entries {
			var m member
			if err := json.Unmarshal(raw, &m); err != nil || m.Type == "" {
				return fault.New(fault.Unavailable, "google: an entry of a group's members is none")
			}
			if err := each(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// orgUnit is an organizational unit (reference of orgunits).
type orgUnit struct {
	ID   string `json:"orgUnitId"`
	Path string `json:"orgUnitPath"`
}

// orgUnits are all there are but the root.
func (w *workspace) orgUnits(ctx context.Context) ([]orgUnit, error) {
	var out []orgUnit
	q := url.Values{"type": {"all"}, "fields": {"kind,organizationUnits(orgUnitId,orgUnitPath)"}}
	err := w.list(ctx, kindOrgUnits, root+"/customer/"+url.PathEscape(w.set.customer)+"/orgunits", q, func(entries []json.RawMessage) error {
		for _, raw := range entries {
			var u orgUnit
			if err := json.Unmarshal(raw, &u); err != nil || !strings.HasPrefix(u.Path, "/") {
				return fault.New(fault.Unavailable, "google: an entry of the list of organizational units is none")
			}
			out = append(out, u)
		}
		return nil
	})
	return out, err
}
