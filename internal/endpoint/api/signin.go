package api

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/signin"
)

func (s *server) signIn() {
	const tag = "sign-in"
	register(s, operation{id: "authenticate", method: http.MethodPost, path: "/authenticate", tag: tag, summary: "Try somebody's password: 200 and the account, or 401 and the reason",
		description: "The directory is asked once. A refusal has a `reason`, and says in `shown` whether the person may be told. `503` means that the directory could not be asked, and that nobody's password is wrong; " +
			"`429` that there were too many wrong passwords, and in `Retry-After` when to try again; `409` that these people sign in at their company's own provider.", body: 16 << 10, fails: []int{http.StatusNotFound, http.StatusConflict}}, s.authenticate)
	register(s, operation{id: "create-password-link", method: http.MethodPost, path: "/accounts/{id}/password-link", tag: tag, summary: "Make a one-time link by which somebody chooses another password",
		description: "For accounts that no connection keeps, and those of connections that bring passwords (`csv`). The link is good once and for a day; one made before is void. Using it ends all sign-ins of the account.",
		status:      http.StatusCreated, fails: []int{http.StatusConflict}}, s.passwordLink)
}

// sentences are what an application may show of a reason.
var sentences = map[signin.Reason]string{
	signin.InvalidCredentials: "the login or the password is wrong",
	signin.Disabled:           "the account is disabled",
	signin.Expired:            "the account or its password has expired",
	signin.Locked:             "the account is locked in its directory",
	signin.MustChangePassword: "the password has to be changed first",
	signin.NotInScope:         "the person may not use this application",
	signin.LicenceFull:        "all seats of the organization are taken",
}

func (s *server) authenticate(ctx context.Context, in *body[client.AuthenticateInput]) (*body[*account.Account], error) {
	about(ctx, in.Body.Connection, "")
	a := signin.Attempt{Connection: in.Body.Connection, Login: in.Body.Login, Password: in.Body.Password, Agent: in.Body.Agent, Via: "api"}
	var err error
	if a.Organization, err = within(ctx, in.Body.Organization); err != nil {
		return nil, err
	}
	if in.Body.Address != "" {
		if a.From, err = netip.ParseAddr(in.Body.Address); err != nil {
			return nil, fault.New(fault.Invalid, "address: this is no network address").WithHint("give the person's own, such as 192.0.2.7, or leave it out")
		}
	}
	r, err := s.SignIn.Authenticate(ctx, a)
	switch {
	case err != nil:
		return nil, err
	case r.Unavailable:
		p := newProblem(ctx, http.StatusServiceUnavailable, "the directory cannot be reached; the password was not tried", "try again in a moment; `rollcall check "+in.Body.Connection+"` says more")
		p.header = http.Header{"Retry-After": {"5"}}
		return nil, p
	case r.Wait > 0:
		p := newProblem(ctx, http.StatusTooManyRequests, "too many wrong passwords", "wait for as many seconds as Retry-After says; `sign_in:` in the configuration sets how many are let through")
		p.header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(r.Wait.Seconds())))}}
		return nil, p
	case r.Reason != "":
		p := newProblem(ctx, http.StatusUnauthorized, sentences[r.Reason], "")
		p.Reason, p.Shown = string(r.Reason), &r.Shown
		return nil, p
	}
	return &body[*account.Account]{r.Account}, s.Store.AccountTable.WithGroups(ctx, []*account.Account{r.Account})
}

func (s *server) passwordLink(ctx context.Context, in *AccountPath) (*body[client.PasswordLink], error) {
	a, err := s.account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	address, ends, err := s.SignIn.PasswordLink(ctx, a, callerOf(ctx).Actor)
	return &body[client.PasswordLink]{client.PasswordLink{URL: address, ExpiresAt: ends.Truncate(time.Second)}}, err
}
