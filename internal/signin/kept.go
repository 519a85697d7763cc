package signin

import (
	"context"

	"rollcall.dev/rollcall/internal/account"
)

// nobody is the hash that passwords are tried against where there is nobody to try
// them for: whoever asks waits as long, and nothing fits it.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$cm9sbGNhbGwgbm9ib2R5IQ$3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs"

// kept tries a password against the hash there is. With nobody, or no password, it
// does the same work.
func kept(ctx context.Context, s *Service, t *try) (*verdict, error) {
	v := &verdict{account: t.account, reason: InvalidCredentials, exact: "wrong"}
	hash, own := "", false
	switch {
	case t.several:
		v.exact = "several"
	case t.account == nil:
		v.exact = "nobody"
	default:
		p, err := s.Store.PasswordTable.Of(ctx, t.account.ID)
		if err != nil {
			return nil, err
		}
		if hash, own = p.Hash, p.Own; hash == "" {
			v.exact = "no_password"
		}
	}
	against := hash
	if against == "" {
		against = nobody
	}
	fits, err := s.Verify(ctx, t.Password, against)
	if err != nil || !fits || hash == "" {
		return v, err
	}
	v.right, v.hash = true, hash
	switch {
	case t.account.Status != account.Active:
		v.reason, v.exact = Disabled, "account_"+string(t.account.Status)
	case t.changeFirst && !own:
		v.reason, v.exact, v.own = MustChangePassword, "must_change", true
	default:
		v.reason, v.exact = "", ""
	}
	return v, nil
}
