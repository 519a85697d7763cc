package events

import (
	"net/url"
	"testing"
)

func TestFiltersOfThePageBecomeThoseOfTheAPI(t *testing.T) {
	for name, c := range map[string]struct {
		given, want string
		wrong       bool
	}{
		"nothing":                             {"", "", false},
		"a family":                            {"about=groups", "types=group.*,membership.*", false},
		"one type goes before the family":     {"about=groups&type=group.created", "types=group.created", false},
		"a family there is not":               {"about=magic", "", false},
		"an address is an administrator's":    {"actor= ada@x.org ", "actor=admin:ada@x.org", false},
		"an actor in full":                    {"actor=apikey:rk_1", "actor=apikey:rk_1", false},
		"until a day means that day's end":    {"since=2026-11-01&until=2026-11-30", "since=2026-11-01T00:00:00Z&until=2026-12-01T00:00:00Z", false},
		"a time as browsers give it":          {"since=2026-11-01T10:30", "since=2026-11-01T10:30:00Z", false},
		"no time at all":                      {"since=yesterday&connection=hq", "connection=hq", true},
		"who and what an event is about":      {"account=a&run=r&organization=o&cursor=7&x=y", "account=a&organization=o&run=r", false},
		"the audit is about the installation": {"about=audit", "types=admin.*,setup_link.*,organization.*,connection.*,apikey.*,webhook.*,delivery.*,client.*,signing_keys.*,target.*,secrets.*,feed.*,plan.*", false},
	} {
		t.Run(name, func(t *testing.T) {
			given, err := url.ParseQuery(c.given)
			if err != nil {
				t.Fatal(err)
			}
			got, wrong := filter(given)
			if text, err := url.QueryUnescape(got.Encode()); err != nil || text != c.want || (wrong != "") != c.wrong {
				t.Errorf("got %s, %q, want %s", text, wrong, c.want)
			}
		})
	}
}

func TestActorsAreCalledAsPeopleKnowThem(t *testing.T) {
	for given, want := range map[string]actor{"admin:ada@x.org": {"", "ada@x.org"}, "apikey:rk_1": {"API key", "rk_1"}, "sync": {"", "sync"}, "job:x:y": {"job", "x:y"}} {
		if got := actorOf(given); got != want {
			t.Errorf("%s: %v", given, got)
		}
	}
}
