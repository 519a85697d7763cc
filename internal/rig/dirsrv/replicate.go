package dirsrv

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Supply has another server hold what this one holds, and tells it of every change. It
// returns when the other one has all. Readers of both are this one's, and may see how
// far each is.
func (s *Server) Supply(ctx context.Context, to *Server) error {
	for i, x := range []*Server{s, to} {
		if err := x.Modify(ctx, fmt.Sprintf(`dn: cn=supplier,cn=config
objectClass: person
cn: supplier
sn: supplier
userPassword: %s

dn: %s
objectClass: nsds5replica
objectClass: extensibleObject
cn: replica
nsds5replicaroot: %s
nsds5replicaid: %d
nsds5replicatype: 3
nsds5flags: 1
nsds5ReplicaBindDN: cn=supplier,cn=config

dn: cn=mapping tree,cn=config
changetype: modify
add: aci
aci: (targetattr="nsds50ruv")(version 3.0; acl "how far it is"; allow (read,search) userdn="ldap:///%s";)
`, s.AdminPassword, s.replica(), s.Base, i+1, s.ReaderDN)); err != nil {
			return err
		}
	}
	if err := s.Modify(ctx, fmt.Sprintf(`dn: %s
objectClass: nsds5replicationagreement
cn: supplies
nsds5replicahost: 127.0.0.1
nsds5replicaport: %d
nsds5ReplicaBindDN: cn=supplier,cn=config
nsds5replicabindmethod: SIMPLE
nsds5ReplicaTransportInfo: LDAP
nsds5replicaroot: %s
nsds5replicacredentials: %s
nsds5BeginReplicaRefresh: start
`, s.agreement(), to.port, s.Base, s.AdminPassword)); err != nil {
		return err
	}
	to.ReaderPassword = s.ReaderPassword
	if err := s.until(ctx, s.agreement(), "nsds5replicaLastInitStatus", "Total update succeeded"); err != nil {
		return err
	}
	return s.CatchUp(ctx, to)
}

// CatchUp returns when the other server has every change that was made before.
func (s *Server) CatchUp(ctx context.Context, to *Server) error {
	last := rand.Text()
	if err := s.Modify(ctx, fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: description\ndescription: %s\n", s.Base, last)); err != nil {
		return err
	}
	return to.until(ctx, s.Base, "description", last)
}

// Hold stops telling the other server of changes, or goes on with it.
func (s *Server) Hold(ctx context.Context, hold bool) error {
	enabled := "on"
	if hold {
		enabled = "off"
	}
	return s.Modify(ctx, fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: nsds5ReplicaEnabled\nnsds5ReplicaEnabled: %s\n", s.agreement(), enabled))
}

func (s *Server) replica() string {
	return "cn=replica,cn=" + strings.NewReplacer("=", `\3D`, ",", `\2C`).Replace(s.Base) + ",cn=mapping tree,cn=config"
}

func (s *Server) agreement() string { return "cn=supplies," + s.replica() }

// until asks for an attribute of an entry until it holds a text.
func (s *Server) until(ctx context.Context, dn, attribute, text string) error {
	c, err := s.Admin()
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{attribute}, nil))
		if err != nil {
			return fmt.Errorf("389ds rig: wait for replication: %w", err)
		}
		if len(r.Entries) == 1 && strings.Contains(r.Entries[0].GetAttributeValue(attribute), text) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("389ds rig: wait for replication: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
