package ldap

import (
	"context"
	"errors"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// watching is a Watch that goes on.
type watching struct {
	changed chan struct{}
	ended   chan error
	stop    context.CancelFunc
}

func watchIt(t *testing.T, s source.Source) *watching {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &watching{changed: make(chan struct{}, 1), ended: make(chan error, 1), stop: stop}
	watcher, ok := source.As[source.Watcher](s)
	if !ok {
		t.Fatal("the source cannot watch")
	}
	go func() {
		w.ended <- watcher.Watch(ctx, func() {
			select {
			case w.changed <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(stop)
	return w
}

// tells waits for a change.
func (w *watching) tells(t *testing.T) {
	t.Helper()
	select {
	case <-w.changed:
	case err := <-w.ended:
		t.Fatalf("watching ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told of")
	}
}

func (w *watching) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("watching does not end")
		return nil
	}
}

func TestEveryServerTellsOfChanges(t *testing.T) {
	for _, vendor := range servers.Vendors {
		t.Run(vendor, func(t *testing.T) {
			s := theServer(t, vendor)
			people := s.People()
			v := serverSettings(s, nil)
			if vendor == servers.ActiveDirectory {
				// Who sees no deleted objects is not told of deletions.
				v["bind_dn"], v["bind_password"] = s.AdminDN, s.AdminPassword
			}
			w := watchIt(t, mustOpen(t, v))
			w.tells(t) // that it listens
			for _, edit := range []struct {
				name string
				edit func() error
			}{
				{"a person is changed", func() error { return s.SetTitle(people[30].UID, "Watched") }},
				{"a person comes", func() error { return s.AddPerson("watched", "Wanda", "Watched", "wanda@example.org") }},
				{"a group is given a member", func() error { return s.AddMember(servers.Groups()[3].Name, "watched") }},
				{"a person is deleted", func() error { return s.Delete("watched") }},
			} {
				t.Run(edit.name, func(t *testing.T) {
					if err := edit.edit(); err != nil {
						t.Fatal(err)
					}
					w.tells(t)
				})
			}
			w.stop()
			if err := w.ends(t); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

func TestWatchingOutlivesSilence(t *testing.T) {
	f := startFake(t, map[string][]string{"supportedControl": {oidPersistentSearch}, "namingContexts": {"dc=x"}}, func(*fakeConn, request) bool { return true })
	f.knows = []string{oidPersistentSearch}
	w := watchIt(t, mustOpen(t, f.settings(setting.Values{"sync.idle_timeout": 300 * time.Millisecond})))
	w.tells(t)
	for range 12 { // three for each time the silence would have been the end
		select {
		case <-f.asked:
		case <-w.changed:
			t.Fatal("a change nobody made")
		case err := <-w.ended:
			t.Fatal(err)
		}
	}
}

func TestWatchingEndsWithTheConnection(t *testing.T) {
	s := startOpenLDAP(t, 3, openldap.Options{})
	w := watchIt(t, mustOpen(t, rigSettings(s, nil)))
	w.tells(t)
	modify(t, s, "dn: uid=u0001,PEOPLE\nchangetype: modify\nreplace: mail\nmail: new@example.org\n")
	w.tells(t)
	s.Kill()
	if err := w.ends(t); err == nil || errors.Is(err, source.ErrNoWatch) {
		t.Error(err)
	}
}
