package app

import (
	"net/http"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/endpoint/login"
	"rollcall.dev/rollcall/internal/endpoint/oidc"
	"rollcall.dev/rollcall/internal/endpoint/scim"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/tunnel"
)

// routes mounts the endpoints: each is a package that gives a handler, on one line
// here.
func (s *Server) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.Health.Live)
	mux.HandleFunc("GET /readyz", s.Health.Ready)
	mux.Handle("GET /metrics", s.Metrics.Handler())
	rest := api.New(s.api())
	mux.Handle(api.Prefix+"/", s.traced(rest))
	s.Provider = s.provider()
	for _, path := range oidc.Paths {
		mux.Handle(path, s.traced(s.Provider))
	}
	people, err := s.login()
	if err != nil {
		return nil, err
	}
	mux.Handle(login.Prefix, s.traced(people))
	mux.Handle(login.Prefix+"/", s.traced(people))
	s.Pushes = s.pushes()
	mux.Handle(scim.Prefix, s.traced(s.Pushes))
	s.Agents = s.agents()
	mux.Handle("GET "+tunnel.Path, s.Agents)
	pages, err := s.console(rest)
	if err != nil {
		return nil, err
	}
	mux.Handle("/", s.traced(pages))
	return mux, nil
}

func (s *Server) api() api.Deps {
	return api.Deps{Store: s.Store, Engine: s.Engine, Runs: s.Operator, Registry: s.Registry, Kinds: s.Registry.Kinds, SignIn: s.SignIn, Targets: s.Pushing,
		Rates: &s.Config.Rates, TrustedProxies: s.Config.Console.TrustedProxies, Installation: s.installation(), Log: s.Log, Observe: s.Metrics.Request, Draining: s.draining}
}

// login is the pages at which people sign in.
func (s *Server) login() (http.Handler, error) {
	return login.New(login.Deps{SignIn: s.SignIn, Logins: s.Store.LoginTable, Ring: s.Ring, PublicURL: s.Config.PublicURL, TrustedProxies: s.Config.Console.TrustedProxies,
		About: s.Provider.About, Leads: s.Provider.Leads, Settings: func() setting.SignIn { return s.Registry.Config().SignIn }, Log: s.Log})
}

// pushes takes what SCIM clients send.
func (s *Server) pushes() *scim.Endpoint {
	return scim.New(scim.Deps{PublicURL: s.Config.PublicURL, Pushed: s.Store.Pushed, Pushers: s.Store.PusherTable, Connection: s.Registry.Connection,
		TrustedProxies: s.Config.Console.TrustedProxies, Log: s.Log, Observe: s.Metrics.Request})
}

// provider is OpenID Connect for the applications that people sign in to.
func (s *Server) provider() *oidc.Provider {
	return oidc.New(oidc.Deps{Issuer: s.Config.PublicURL, Logins: s.Store.LoginTable, Clients: s.Store.ClientTable, Grants: s.Store.GrantTable, Keys: s.Store.SigningKeys,
		Accounts: s.Store.AccountTable, Ring: s.Ring, Connection: s.Store.ClientTable.Known, SignedOut: s.SignIn.SignedOut, TrustedProxies: s.Config.Console.TrustedProxies, Log: s.Log})
}

// installation is what operators are told of it.
func (s *Server) installation() client.Installation {
	c := s.Config
	seconds := func(d time.Duration) *int64 {
		if d == 0 {
			return nil // for good
		}
		n := int64(d / time.Second)
		return &n
	}
	out := client.Installation{Version: s.Version, PublicURL: c.PublicURL, Database: "sqlite", Workers: c.Workers, Tracing: c.Server.TraceEndpoint != "",
		SessionIdle: int64(c.Console.SessionIdle / time.Second), SessionMax: int64(c.Console.SessionMax / time.Second),
		Retention: client.Retention{Plans: seconds(c.Retention.Plans), Runs: seconds(c.Retention.Runs), Events: seconds(c.Retention.Events), Deliveries: seconds(c.Retention.Deliveries)}}
	if strings.HasPrefix(c.Database, "postgres") {
		out.Database = "postgresql"
	}
	if c.Path != "" {
		out.Configuration = &c.Path
	}
	if c.Notifications.SMTP.Host != "" {
		out.Notifications = append(out.Notifications, "mail")
	}
	if c.Notifications.Webhook.URL != "" {
		out.Notifications = append(out.Notifications, "webhook")
	}
	return out
}
