package login

import (
	"net/http"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
)

// linkPage is what somebody sees who came by a one-time link.
type linkPage struct {
	Name     string
	Username string
}

func (q *ask) linkForm(status int, a *account.Account, t *trouble) error {
	return q.page(status, "link", "Choose a password", linkPage{nameOf(a), a.Text[account.Username]}, t)
}

func (p *pages) link(q *ask) error {
	a, err := p.SignIn.ByLink(q.r.Context(), q.r.PathValue("token"))
	if err != nil {
		return err
	}
	return q.linkForm(http.StatusOK, a, nil)
}

func (p *pages) useLink(q *ask) error {
	ctx, token := q.r.Context(), q.r.PathValue("token")
	a, err := p.SignIn.ByLink(ctx, token)
	if err != nil {
		return err
	}
	fresh := q.r.PostFormValue("new")
	if fresh != q.r.PostFormValue("again") {
		return q.linkForm(http.StatusUnprocessableEntity, a, &trouble{"The two passwords are not the same.", "Type it twice."})
	}
	if a, err = p.SignIn.UseLink(ctx, token, fresh); err != nil {
		if fault.KindOf(err) == fault.Invalid {
			status, t := q.told(err)
			again, lerr := p.SignIn.ByLink(ctx, token)
			if lerr != nil {
				return lerr
			}
			return q.linkForm(status, again, t)
		}
		return err
	}
	organization := ""
	if a.Connection == account.Local {
		organization = a.Organization
	}
	return q.page(http.StatusOK, "chosen", "Your password is changed", "/login/"+a.Connection+query("organization", organization, "login_hint", a.Text[account.Username]), nil)
}
