package admins

import (
	"context"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// Spec is an administrator to be made. Organization is "" for operators, and for
// auditors of all.
type Spec struct {
	Email, Name, Password string
	Role                  Role
	Organization          string
}

func (spec *Spec) check() (err error) {
	if spec.Email, err = CheckEmail(spec.Email); err != nil {
		return err
	}
	if spec.Name, err = checkName(spec.Name); err != nil {
		return err
	}
	return CheckRole(spec.Role, spec.Organization)
}

// Create makes an administrator with a password. An e-mail address somebody has is
// a fault.Conflict, an organization that does not exist a fault.NotFound.
func (s *Admins) Create(ctx context.Context, by By, spec Spec) (*Administrator, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if err := CheckPassword(spec.Password, spec.Email); err != nil {
		return nil, err
	}
	hash, err := s.hash(ctx, spec.Password)
	if err != nil {
		return nil, err
	}
	var a *Administrator
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		by, err := Current(ctx, tx, by)
		if err != nil {
			return err
		}
		if err := by.may(spec.Role, spec.Organization); err != nil {
			return err
		}
		a, err = s.create(ctx, tx, spec, hash, by.Actor)
		return err
	})
	return a, err
}

// create writes a checked administrator. Links for the first operator are void from
// then on.
func (s *Admins) create(ctx context.Context, tx *db.Tx, spec Spec, hash, actor string) (*Administrator, error) {
	if spec.Organization != "" {
		if err := organizations.Exists(ctx, tx, spec.Organization); err != nil {
			return nil, err
		}
	}
	a := &Administrator{ID: newID("adm_"), Email: spec.Email, Name: spec.Name, Role: spec.Role, Organization: spec.Organization, CreatedBy: actor, CreatedAt: s.now(), password: hash}
	n, err := tx.Exec(ctx, `INSERT INTO admins (id, email, email_key, name, role, organization, password, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (email_key) DO NOTHING`, a.ID, a.Email, fold(a.Email), a.Name, string(a.Role), a.Organization, hash, actor, db.Micros(a.CreatedAt))
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errTaken()
	}
	if _, err := tx.Exec(ctx, `DELETE FROM admin_links WHERE kind = $1 OR kind = $2 AND email = $3`, string(First), string(Invitation), fold(a.Email)); err != nil {
		return nil, err
	}
	what := aboutOf(a)
	what.Name = a.Name
	return a, told(ctx, tx, event.AdminCreated, a.Organization, actor, a.CreatedAt, nil, what)
}

func errTaken() error {
	return fault.New(fault.Conflict, "this e-mail address belongs to an administrator already").WithHint("take another, or have that administrator's role changed")
}

// Current gives who does something as they are in this transaction: a role that was
// taken away a moment ago is gone. Somebody disabled or deleted is a fault.Denied.
func Current(ctx context.Context, q db.Querier, by By) (By, error) {
	if by.Admin == nil {
		return by, nil
	}
	a, err := one(ctx, q, `a.id = $1`, by.Admin.ID)
	if fault.KindOf(err) == fault.NotFound && err != nil || err == nil && a.Disabled {
		return by, errNoSession()
	}
	by.Admin = a
	return by, err
}

// both gives who does something and whom it is done to, as they are now, and lets
// nobody else change administrators until the transaction ends.
func (s *Admins) both(ctx context.Context, tx *db.Tx, by By, admin string) (By, *Administrator, error) {
	if err := events.Lock(ctx, tx); err != nil {
		return by, nil, err
	}
	by, err := Current(ctx, tx, by)
	if err != nil {
		return by, nil, err
	}
	a, err := one(ctx, tx, `a.id = $1`, asked(admin))
	if err != nil {
		return by, nil, err
	}
	if !by.sees(a) {
		return by, nil, errNobody()
	}
	return by, a, nil
}

// notLast refuses to take away the last operator who can sign in.
func notLast(ctx context.Context, tx *db.Tx, a *Administrator) error {
	if a.Role != Operator || a.Disabled {
		return nil
	}
	var others int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM admins WHERE role = $1 AND NOT disabled AND id <> $2`, string(Operator), a.ID).Scan(&others); err != nil {
		return db.Explain("count operators", err)
	}
	if others == 0 {
		return fault.New(fault.Conflict, "%s is the last operator", a.Email).WithHint("make another operator first")
	}
	return nil
}

// Patch is a change; nil leaves as it is. Role and Organization go together.
type Patch struct {
	Name         *string
	Role         *Role
	Organization *string
}

// Update changes an administrator. Another role or organization ends their sessions
// at once. Nobody gives themselves a higher role; the last operator stays one.
func (s *Admins) Update(ctx context.Context, by By, admin string, p Patch) (*Administrator, error) {
	var after Administrator
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		by, a, err := s.both(ctx, tx, by, admin)
		if err != nil {
			return err
		}
		after = *a
		if p.Role != nil {
			after.Role = *p.Role
		}
		if p.Organization != nil {
			after.Organization = *p.Organization
		}
		if p.Name != nil {
			if after.Name, err = checkName(*p.Name); err != nil {
				return err
			}
		}
		moved := after.Role != a.Role || after.Organization != a.Organization
		self := by.Admin != nil && by.Admin.ID == a.ID
		if moved {
			if err := s.mayMove(ctx, tx, by, a, &after, self); err != nil {
				return err
			}
		} else if !self {
			if err := by.may(a.Role, a.Organization); err != nil {
				return err
			}
		}
		if !moved && after.Name == a.Name {
			return nil
		}
		if _, err := tx.Exec(ctx, `UPDATE admins SET name = $2, role = $3, organization = $4 WHERE id = $1`, a.ID, after.Name, string(after.Role), after.Organization); err != nil {
			return err
		}
		if moved {
			if err := s.out(ctx, tx, a); err != nil {
				return err
			}
		}
		was, is := aboutOf(a), aboutOf(&after)
		was.Name, is.Name = a.Name, after.Name
		return told(ctx, tx, event.AdminUpdated, a.Organization, by.Actor, s.now(), was, is)
	})
	if err != nil {
		return nil, err
	}
	return &after, nil
}

func (s *Admins) mayMove(ctx context.Context, tx *db.Tx, by By, a, after *Administrator, self bool) error {
	if err := CheckRole(after.Role, after.Organization); err != nil {
		return err
	}
	if self && (after.Role.rank() > a.Role.rank() || a.Organization != "" && after.Organization != a.Organization) {
		return fault.New(fault.Denied, "nobody raises their own role").WithHint("ask another operator")
	}
	for _, x := range []*Administrator{a, after} {
		if err := by.may(x.Role, x.Organization); err != nil {
			return err
		}
	}
	if after.Organization != "" {
		if err := organizations.Exists(ctx, tx, after.Organization); err != nil {
			return err
		}
	}
	if after.Role != Operator {
		return notLast(ctx, tx, a)
	}
	return nil
}

// out ends what somebody could do under the role before: sessions, and the
// invitations they gave.
func (s *Admins) out(ctx context.Context, tx *db.Tx, a *Administrator) error {
	if _, err := end(ctx, tx, a.ID, ""); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM admin_links WHERE created_by = $1`, a.Actor())
	return err
}

// Disable keeps an administrator out at once, and their name in the list.
func (s *Admins) Disable(ctx context.Context, by By, admin string) (*Administrator, error) {
	return s.switched(ctx, by, admin, true, event.AdminDisabled)
}

// Enable lets a disabled administrator in again.
func (s *Admins) Enable(ctx context.Context, by By, admin string) (*Administrator, error) {
	return s.switched(ctx, by, admin, false, event.AdminEnabled)
}

func (s *Admins) switched(ctx context.Context, by By, admin string, disabled bool, what event.Type) (*Administrator, error) {
	var a *Administrator
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		var err error
		if by, a, err = s.both(ctx, tx, by, admin); err != nil {
			return err
		}
		if err := by.may(a.Role, a.Organization); err != nil || a.Disabled == disabled {
			return err
		}
		if disabled {
			if err := notLast(ctx, tx, a); err != nil {
				return err
			}
			if err := s.out(ctx, tx, a); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `UPDATE admins SET disabled = $2 WHERE id = $1`, a.ID, disabled); err != nil {
			return err
		}
		a.Disabled = disabled
		return told(ctx, tx, what, a.Organization, by.Actor, s.now(), nil, aboutOf(a))
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Delete takes an administrator away for good, with sessions, links and second
// factors. What they did stays in the events.
func (s *Admins) Delete(ctx context.Context, by By, admin string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		by, a, err := s.both(ctx, tx, by, admin)
		if err != nil {
			return err
		}
		if err := by.may(a.Role, a.Organization); err != nil {
			return err
		}
		if err := notLast(ctx, tx, a); err != nil {
			return err
		}
		if err := s.out(ctx, tx, a); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM admins WHERE id = $1`, a.ID); err != nil {
			return err
		}
		return told(ctx, tx, event.AdminDeleted, a.Organization, by.Actor, s.now(), aboutOf(a), nil)
	})
}
