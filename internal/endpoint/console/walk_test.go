package console_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

// visit is how a route is walked: an address with what belongs to sun, and a form
// that would do something.
type visit struct {
	path string
	form string
	// own says that it is about whoever asks, and there for everybody who is signed in.
	own bool
	// list says that it is there for everybody, with what is theirs.
	list bool
	// blind says that whoever may not change gets a page that shows nothing of sun: a
	// form for something new.
	blind bool
}

// visits are by the pattern of the route. A route without one fails the test.
var visits = map[string]visit{
	"GET /{$}":                                       {path: "/", list: true},
	"POST /theme":                                    {path: "/theme", form: "theme=dark", own: true},
	"POST /signout":                                  {path: "/signout", own: true},
	"GET /plans":                                     {path: "/plans", list: true},
	"GET /plans/{id}":                                {path: "/plans/{plan}"},
	"POST /plans/{id}":                               {path: "/plans/{plan}", form: "do=reject"},
	"GET /runs":                                      {path: "/runs", list: true},
	"GET /runs/{id}":                                 {path: "/runs/{run}"},
	"GET /runs/{id}/live":                            {path: "/runs/{run}/live"},
	"POST /runs/{id}/cancel":                         {path: "/runs/{run}/cancel"},
	"POST /runs/{id}/revert":                         {path: "/runs/{run}/revert"},
	"GET /groups":                                    {path: "/groups", list: true},
	"GET /groups/{id}":                               {path: "/groups/{group}"},
	"GET /people":                                    {path: "/people", list: true},
	"GET /people/export":                             {path: "/people/export?format=csv", list: true},
	"GET /people/{id}":                               {path: "/people/{person}"},
	"POST /people/{id}/read":                         {path: "/people/{person}/read"},
	"POST /people/{id}/password-link":                {path: "/people/{person}/password-link"},
	"GET /why":                                       {path: "/why?connection=sun-hq&who=anna", list: true},
	"POST /why/read":                                 {path: "/why/read", form: "connection=sun-hq&who=anna"},
	"GET /connections":                               {path: "/connections", list: true},
	"GET /new-connection":                            {path: "/new-connection", blind: true},
	"GET /new-connection/{kind}":                     {path: "/new-connection/csv", blind: true},
	"POST /new-connection/{kind}":                    {path: "/new-connection/csv", form: "do=save&alias=sun-x&organization=sun&backend.csv.upload=true"},
	"GET /connections/{alias}":                       {path: "/connections/sun-up"},
	"GET /connections/{alias}/edit":                  {path: "/connections/sun-up/edit"},
	"POST /connections/{alias}/edit":                 {path: "/connections/sun-up/edit", form: "do=save&role=staff"},
	"POST /connections/{alias}/{what}":               {path: "/connections/sun-up/delete", form: "alias=sun-up"},
	"GET /connections/{alias}/mapping":               {path: "/connections/sun-up/mapping"},
	"POST /connections/{alias}/mapping":              {path: "/connections/sun-up/mapping", form: "do=save&how.title=attribute&what.title=title"},
	"GET /connections/{alias}/provisioning":          {path: "/connections/sun-push/provisioning"},
	"POST /connections/{alias}/provisioning/{what}":  {path: "/connections/sun-push/provisioning/token", form: "kind=bearer&days=365"},
	"GET /connections/{alias}/provisioning/test":     {path: "/connections/sun-push/provisioning/test?after=0"},
	"GET /connections/{alias}/provisioning/log":      {path: "/connections/sun-push/provisioning/log"},
	"GET /connections/{alias}/provisioning/log/{id}": {path: "/connections/sun-push/provisioning/log/1"},
	"GET /orgchart":                                  {path: "/orgchart", list: true},
	"GET /disputes":                                  {path: "/disputes", list: true},
	"GET /disputes/overlap":                          {path: "/disputes/overlap?connection=sun-up"},
	"POST /disputes/overlap":                         {path: "/disputes/overlap", form: "do=save&connection=sun-up&overlap=take"},
	"GET /adoption":                                  {path: "/adoption?connection=sun-up"},
	"POST /adoption":                                 {path: "/adoption", form: "do=preview&connection=sun-up"},
	"GET /events":                                    {path: "/events", list: true},
	"GET /events/export":                             {path: "/events/export?format=csv", list: true},
	"GET /organizations":                             {path: "/organizations", list: true},
	"GET /organizations/{id}":                        {path: "/organizations/sun"},
	"POST /organizations":                            {path: "/organizations", form: "id=sun-z&name=Z"},
	"POST /organizations/{id}":                       {path: "/organizations/sun", form: "name=Another"},
	"POST /organizations/{id}/delete":                {path: "/organizations/sun/delete", form: "id=sun"},
	"GET /webhooks":                                  {path: "/webhooks", list: true},
	"GET /webhooks/{id}":                             {path: "/webhooks/{hook}"},
	"GET /webhooks/{id}/edit":                        {path: "/webhooks/{hook}/edit"},
	"POST /webhooks/{id}/edit":                       {path: "/webhooks/{hook}/edit", form: "url=https://elsewhere.example/"},
	"POST /webhooks/{id}/{what}":                     {path: "/webhooks/{hook}/delete"},
	"GET /new-webhook":                               {path: "/new-webhook", blind: true},
	"POST /new-webhook":                              {path: "/new-webhook", form: "organization=sun&url=https://sunfix.example/other"},
	"GET /deliveries/{id}":                           {path: "/deliveries/{delivery}"},
	"POST /deliveries/{id}/replay":                   {path: "/deliveries/{delivery}/replay"},
	"GET /clients":                                   {path: "/clients", list: true},
	"GET /clients/{id}":                              {path: "/clients/{client}"},
	"GET /clients/{id}/edit":                         {path: "/clients/{client}/edit"},
	"POST /clients/{id}/edit":                        {path: "/clients/{client}/edit", form: "name=Other&redirects=https://elsewhere.example/"},
	"POST /clients/{id}/{what}":                      {path: "/clients/{client}/delete"},
	"GET /new-client":                                {path: "/new-client", blind: true},
	"POST /new-client":                               {path: "/new-client", form: "organization=sun&type=public&name=x&redirects=https://sunfix.example/cb"},
	"GET /agents":                                    {path: "/agents", list: true},
	"GET /agents/{id}":                               {path: "/agents/{agent}"},
	"POST /agents/{id}/{what}":                       {path: "/agents/{agent}/revoke"},
	"GET /new-agent":                                 {path: "/new-agent?connection=sun-hq", blind: true},
	"POST /new-agent":                                {path: "/new-agent", form: "name=another&connection=sun-hq"},
	"GET /admins":                                    {path: "/admins", list: true},
	"GET /admins/invite":                             {path: "/admins/invite", blind: true},
	"POST /admins/invite":                            {path: "/admins/invite", form: "email=x@sunfix.com&role=administrator&organization=sun"},
	"POST /admins/invitations/{id}":                  {path: "/admins/invitations/{invitation}"},
	"GET /admins/{id}":                               {path: "/admins/{admin}"},
	"POST /admins/{id}/{what}":                       {path: "/admins/{admin}/disable"},
	"GET /profile":                                   {path: "/profile", own: true},
	"POST /profile/password":                         {path: "/profile/password", form: "old=wrong&password=other+words+of+mine&again=other+words+of+mine", own: true},
	"POST /profile/app":                              {path: "/profile/app", own: true},
	"POST /profile/app/accept":                       {path: "/profile/app/accept", form: "code=000000", own: true},
	"POST /profile/app/remove":                       {path: "/profile/app/remove", own: true},
	"POST /profile/recovery":                         {path: "/profile/recovery", own: true},
	"POST /profile/passkeys/offer":                   {path: "/profile/passkeys/offer", own: true},
	"POST /profile/passkeys":                         {path: "/profile/passkeys", form: "name=x&answer={}", own: true},
	"POST /profile/passkeys/remove":                  {path: "/profile/passkeys/remove", form: "id=AAAA", own: true},
	"POST /profile/sessions":                         {path: "/profile/sessions", form: "id=none", own: true},
	"GET /confirm":                                   {path: "/confirm?next=/profile", own: true},
	"POST /confirm":                                  {path: "/confirm", form: "password=wrong", own: true},
	"POST /confirm/passkey":                          {path: "/confirm/passkey", form: "answer={}", own: true},
	"GET /setups":                                    {path: "/setups", list: true},
	"GET /setups/new":                                {path: "/setups/new", blind: true},
	"POST /setups/new":                               {path: "/setups/new", form: "for=new&alias=sun-y&kind=csv&organization=sun&days=7"},
	"POST /setups/{id}/revoke":                       {path: "/setups/{link}/revoke"},
	"GET /setup":                                     {path: "/setup"},
	"POST /setup/connection/{what}":                  {path: "/setup/connection/check"},
	"GET /setup/connection":                          {path: "/setup/connection"},
	"POST /setup/connection":                         {path: "/setup/connection", form: "do=save&backend.csv.upload=true"},
	"GET /setup/plans/{id}":                          {path: "/setup/plans/{plan}"},
	"GET /apikeys":                                   {path: "/apikeys", list: true},
	"GET /apikeys/new":                               {path: "/apikeys/new", blind: true},
	"POST /apikeys/new":                              {path: "/apikeys/new", form: "name=x&scope=organization:sun&days=7"},
	"POST /apikeys/{id}/end":                         {path: "/apikeys/{key}/end"},
	"GET /settings":                                  {path: "/settings", list: true},
}

// public are the routes at the door, which show nothing of anybody.
var public = []string{"GET /signin", "POST /signin", "POST /signin/passkey", "POST /signin/passkey/ask", "GET /signin/code", "POST /signin/code", "GET /welcome",
	"GET /welcome/{token}", "POST /welcome/{token}", "GET /setup/{token}", "POST /setup/{token}"}

// ofSun are words that stand on pages about sun alone.
var ofSun = []string{"sunfix-dc1", "sun-hq", "sun-up", "sun-guest", "sun-push", "Sunfix", "sunfix", "anna", "manager-of-sun"}

func TestNobodySeesOrDoesWhatIsNotTheirs(t *testing.T) {
	w := open(t)
	for _, route := range w.shell.Routes() {
		method, _, _ := strings.Cut(route.Pattern, " ")
		if route.Need == shell.Public {
			if !slices.Contains(public, route.Pattern) {
				t.Errorf("%s is open to everybody, and this test does not know why", route.Pattern)
			}
			continue
		}
		v, ok := visits[route.Pattern]
		if !ok {
			t.Errorf("no visit to %s", route.Pattern)
			continue
		}
		form, err := url.ParseQuery(v.form)
		w.must(err)
		for _, who := range []string{"stranger", "manager of moon", "auditor of sun", "auditor", "guest"} {
			w.walk(route, v, method, form, who)
		}
		if method == http.MethodGet {
			if route.Guest {
				continue // not for the operator either: see below
			}
			if got := w.ask("operator", method, v.path, nil, false); got.Code >= 400 {
				t.Errorf("%s: the operator gets %d %s", route.Pattern, got.Code, firstWords(got.Body.String()))
			}
			continue
		}
		for _, who := range []string{"operator", "guest"} {
			mark := w.newest()
			if got := w.ask(who, method, v.path, form, false); got.Code != 403 && (who != "guest" || got.Code != 404) || w.newest() != mark {
				t.Errorf("%s: a form of the %s without the session's token gets %d", route.Pattern, who, got.Code)
			}
		}
	}
}

// walk is one route as somebody who has nothing to seek there, or may read only.
func (w *world) walk(route shell.Route, v visit, method string, form url.Values, who string) {
	t := w.t
	mark := w.newest()
	got := w.ask(who, method, v.path, form, true)
	text := got.Body.String() + got.Header().Get("Location")
	writes := method != http.MethodGet
	var want []int
	mine := false // they may see what is there
	switch {
	case who == "stranger":
		want = []int{303}
		if !strings.HasPrefix(got.Header().Get("Location"), "/signin") {
			t.Errorf("%s: a stranger is led to %q", route.Pattern, got.Header().Get("Location"))
		}
	case who == "guest" && route.Guest:
		want, mine = []int{200, 303, 404}, true
	case who == "guest" && v.path == "/":
		want, mine = []int{303}, true
	case who == "guest":
		want = []int{404}
	case route.Guest:
		want = []int{404, 403}
	case v.own:
		want, mine = []int{200, 303, 403, 404, 422}, true
	case route.Need != shell.Somebody && strings.HasPrefix(who, "auditor"):
		want, mine = []int{403}, true
	case strings.HasPrefix(who, "auditor"):
		want, mine = []int{200, 303}, true
	case v.list || v.blind:
		want = []int{200, 303}
	default:
		want = []int{403, 404, 422}
	}
	if !slices.Contains(want, got.Code) {
		t.Errorf("%s as %s: %d, want one of %v: %s", route.Pattern, who, got.Code, want, firstWords(text))
	}
	for _, word := range ofSun {
		// What they typed may come back to them.
		if !mine && who != "stranger" && strings.Contains(text, word) && !strings.Contains(v.path+v.form, word) {
			t.Errorf("%s as %s: the page says %q", route.Pattern, who, word)
		}
	}
	if writes && !v.own && w.newest() != mark && (who != "guest" || !route.Guest) {
		t.Errorf("%s as %s: something happened", route.Pattern, who)
	}
	if v.own && who != "stranger" && who != "guest" {
		w.signIn(who) // what they did to themselves may have ended the session
	}
}

func firstWords(text string) string {
	if i := strings.Index(text, "<main"); i >= 0 {
		text = text[i:]
	}
	return text[:min(len(text), 400)]
}

// A guest's session is good for the connection of the link and nothing else, also
// where plans are named one by one.
func TestAGuestSeesNoPlanOfAnotherConnection(t *testing.T) {
	w := open(t)
	if got := w.ask("guest", "GET", "/setup/plans/{plan}", nil, false); got.Code != 404 || strings.Contains(got.Body.String(), "anna") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	home := w.ask("guest", "GET", "/setup", nil, false)
	if home.Code != 200 || strings.Contains(home.Body.String(), "sun-hq") || strings.Contains(home.Body.String(), `href="/people"`) {
		t.Errorf("%d %s", home.Code, home.Body)
	}
	if got := w.ask("guest", "POST", "/setup/connection", url.Values{"do": {"save"}, "backend.csv.upload": {"true"}, "limits.removals": {"100%"}, "schedule": {"every 5m"}, "match": {"username"}}, true); got.Code != 303 {
		t.Errorf("%d %s", got.Code, firstWords(got.Body.String()))
	}
	c := w.call("GET", "/connections/sun-guest", "")
	if c["schedule"] != nil || c["match"] != nil {
		t.Errorf("what is not in the guest's form was taken: %v", c)
	}
}

// What is dangerous asks for the password first, and comes back.
func TestWhatIsDangerousAsksForThePassword(t *testing.T) {
	w := open(t)
	later := w.app.Store.AdminTable
	now := later.Now
	t.Cleanup(func() { later.Now = now })
	later.Now = func() (at time.Time) { return time.Now().Add(11 * time.Minute) }
	for _, c := range []struct{ method, path, form, back string }{
		{"GET", "/admins/invite", "", "/admins/invite"},
		{"POST", "/admins/invite", "email=x@sunfix.com&role=operator", "/admins/invite"},
		{"POST", "/admins/{admin}/reset", "", "/admins/{admin}"},
		{"POST", "/admins/{admin}/factor", "", "/admins/{admin}"},
		{"POST", "/admins/{admin}/role", "role=operator", "/admins/{admin}"},
		{"POST", "/admins/{admin}/delete", "", "/admins/{admin}"},
		{"POST", "/profile/app", "", "/profile"},
		{"POST", "/profile/recovery", "", "/profile"},
		{"GET", "/apikeys/new", "", "/apikeys/new"},
		{"POST", "/apikeys/new", "name=x&scope=operator", "/apikeys/new"},
		{"POST", "/connections/sun-push/provisioning/token", "kind=bearer", "/connections/sun-push/provisioning"},
		{"POST", "/connections/sun-push/provisioning/revoke", "id=rcp_x", "/connections/sun-push/provisioning"},
		{"GET", "/new-agent?connection=sun-hq", "", "/new-agent?connection=sun-hq"},
		{"POST", "/new-agent", "name=x&connection=sun-hq", "/new-agent?connection=sun-hq"},
		{"POST", "/agents/{agent}/secret", "overlap=0", "/agents/{agent}"},
		{"POST", "/agents/{agent}/revoke", "", "/agents/{agent}"},
		{"GET", "/setups/new?connection=sun-up", "", "/setups/new?connection=sun-up"},
		{"POST", "/setups/new", "for=there&connection=sun-up&days=7", "/setups/new"},
	} {
		form, err := url.ParseQuery(c.form)
		w.must(err)
		mark := w.newest()
		got := w.ask("operator", c.method, c.path, form, true)
		if to := "/confirm?next=" + url.QueryEscape(w.names(c.back)); got.Code != 303 || got.Header().Get("Location") != to || w.newest() != mark {
			t.Errorf("%s %s: %d to %q, want %q", c.method, c.path, got.Code, got.Header().Get("Location"), to)
		}
	}
	if got := w.ask("operator", "POST", "/confirm", url.Values{"next": {"/admins/invite"}, "password": {password}}, true); got.Code != 303 || got.Header().Get("Location") != "/admins/invite" {
		t.Errorf("%d %s", got.Code, firstWords(got.Body.String()))
	}
	if got := w.ask("operator", "GET", "/admins/invite", nil, true); got.Code != 200 {
		t.Errorf("after the password: %d", got.Code)
	}
	if got := w.ask("operator", "POST", "/confirm", url.Values{"next": {"https://evil.test/"}, "password": {password}}, true); got.Header().Get("Location") != "/" {
		t.Errorf("and leads elsewhere: %s", got.Header().Get("Location"))
	}
}
