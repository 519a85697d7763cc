package login

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/logins"
)

// Whoever signs in at their company's own provider is sent there, and comes back with
// an answer that is good in the browser alone that was sent: it has, sealed, what the
// answer must fit.

const (
	providerCookie = "rollcall-provider"
	providerLife   = 15 * 60 // seconds
	mostSealed     = 2900    // bytes: browsers keep no cookie of more than 4,096 letters
)

// sent is what a browser keeps while somebody is at their provider.
type sent struct {
	State []byte `json:"s"`
	Next  string `json:"n,omitempty"`
}

func sentPurpose(alias string) string { return "sign-in at a provider " + alias }

func (p *pages) guest(q *ask, place *signin.Place) signin.Attempt {
	return signin.Attempt{Connection: place.Alias, Organization: place.Organization, From: admins.From(q.r, p.TrustedProxies), Agent: q.r.UserAgent(), Via: "provider"}
}

// begin sends somebody to their provider.
func (p *pages) begin(q *ask) error {
	place, err := q.place()
	if err != nil {
		return err
	}
	return p.toProvider(q, place, hint(q.r.URL.Query().Get("login_hint")))
}

// Fresh marks an address to come back to at which somebody is wanted who has just
// proved who they are. Whoever takes the mark away comes back as somebody of whom
// that is not known.
const Fresh = "fresh"

func (p *pages) toProvider(q *ask, place *signin.Place, login string) error {
	a := p.guest(q, place)
	a.Login = login
	next, err := url.Parse(q.next())
	if err != nil {
		return err
	}
	address, state, err := p.SignIn.Begin(q.r.Context(), a, next.Query().Has(Fresh))
	if err != nil {
		return p.atProvider(q, place, err)
	}
	plain, err := json.Marshal(sent{State: state, Next: q.next()})
	if err != nil {
		return err
	}
	sealed, err := p.Ring.Seal(sentPurpose(place.Alias), plain)
	if err != nil {
		return err
	}
	if len(sealed) > mostSealed {
		return fault.New(fault.Invalid, "the application asks for more than a browser can keep").WithHint("tell whoever runs the application; its request is too long")
	}
	p.setCookie(q.w, providerCookie, base64.RawURLEncoding.EncodeToString(sealed), providerLife)
	q.redirect(address)
	return nil
}

// finish takes the answer somebody comes back with.
func (p *pages) finish(q *ask) error {
	place, err := q.place()
	if err != nil {
		return err
	}
	// It is good once, whatever comes of it.
	kept := p.cookie(q.r, providerCookie)
	p.setCookie(q.w, providerCookie, "", -1)
	var s sent
	sealed, err := base64.RawURLEncoding.DecodeString(kept)
	if err == nil {
		var plain []byte
		if plain, err = p.Ring.Open(sentPurpose(place.Alias), sealed); err == nil {
			err = json.Unmarshal(plain, &s)
		}
	}
	if err != nil || kept == "" {
		return p.again(q, http.StatusForbidden, place, "", &trouble{"This sign-in was not begun in this browser, or too long ago.", "Begin again, and stay in one window."})
	}
	s.Next = Next(s.Next)
	a := p.guest(q, place)
	r, err := p.SignIn.Finish(q.r.Context(), a, q.r.URL.Query(), s.State)
	switch {
	case err != nil:
		return p.atProvider(q, place, err)
	case r.Unavailable:
		return p.again(q, http.StatusServiceUnavailable, place, s.Next, &trouble{"The directory of " + place.Company + " cannot be reached just now.", "You are known to your company's sign-in. Try again in a moment."})
	case r.Reason != "":
		t := why(r, place)
		if !r.Shown {
			t = &trouble{"You may not use this application.", "Ask your administrator."}
		}
		return p.again(q, http.StatusForbidden, place, s.Next, t)
	}
	return q.in(a, r, logins.SSO, s.Next)
}

// atProvider is the page that a sign-in ends on that went wrong at the provider.
func (p *pages) atProvider(q *ask, place *signin.Place, err error) error {
	status, t := q.told(err)
	switch fault.KindOf(err) {
	case fault.NotFound:
		return err
	case fault.Denied:
		p.Log.Info("a sign-in at a provider was refused", "connection", place.Alias, "error", err.Error())
		t = &trouble{"The sign-in at your company did not work.", "Begin again. If it stays so, your administrator finds the reason in the log, under sign-in at a provider."}
	case fault.Invalid, fault.Internal, fault.Conflict, fault.Held:
		p.Log.Error("a sign-in at a provider cannot work", "connection", place.Alias, "error", err.Error())
		t = &trouble{"The sign-in at your company is not set up well.", "Nothing is wrong with your password. Ask your administrator."}
	case fault.Unavailable:
		p.Log.Warn("a provider cannot be reached", "connection", place.Alias, "error", err.Error())
		t = &trouble{"The sign-in of your company cannot be reached.", "Nothing is wrong with your password. Try again in a moment."}
	}
	return p.again(q, status, place, "", t)
}

// againPage leads to the provider once more.
type againPage struct {
	signin.Place
	To string
}

func (p *pages) again(q *ask, status int, place *signin.Place, next string, t *trouble) error {
	return q.page(status, "provider", "Sign in at "+place.Company, againPage{*place, "/login/provider/" + place.Alias + query("next", next)}, t)
}
