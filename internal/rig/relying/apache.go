package relying

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"rollcall.dev/rollcall/internal/rig/host"
)

// Apache is a server of its own on loopback, whose pages below /app are for who
// signed in at a provider.
type Apache struct {
	*host.Host
	URL      string
	Callback string // its redirect URI
	Bye      string // where people go when they have signed out
}

// Application is what it is registered as.
type Application struct{ Issuer, ClientID, Secret string }

var config = template.Must(template.New("httpd.conf").Parse(`ServerRoot "{{.Dir}}"
ServerName 127.0.0.1
Listen 127.0.0.1:{{.Port}}
PidFile "{{.Dir}}/pid"
DefaultRuntimeDir "{{.Dir}}"
ErrorLog "{{.Dir}}/errors"
LogLevel warn
{{if .Root}}User {{.User}}
Group {{.User}}
{{end}}{{range .Modules}}LoadModule {{.}}_module "{{$.Library}}/mod_{{.}}.so"
{{end}}DocumentRoot "{{.Dir}}/pages"
OIDCProviderMetadataURL {{.App.Issuer}}/.well-known/openid-configuration
OIDCClientID {{.App.ClientID}}
OIDCClientSecret {{.App.Secret}}
OIDCRedirectURI {{.URL}}/app/callback
OIDCDefaultLoggedOutURL {{.URL}}/bye.html
OIDCCryptoPassphrase {{.Phrase}}
OIDCPKCEMethod S256
OIDCScope "openid profile email groups"
OIDCRemoteUserClaim email
OIDCSessionType server-cache
<Directory "{{.Dir}}/pages">
Require all granted
</Directory>
<Location /app>
AuthType openid-connect
Require valid-user
Header always set X-Remote-User "expr=%{REMOTE_USER}"
</Location>
`))

// library is where Debian has Apache's modules.
const library = "/usr/lib/apache2/modules"

// StartApache begins one. The client it is registered as may have to know its
// addresses first, so ready is asked for it when those are known.
func StartApache(ctx context.Context, ready func(a *Apache) (Application, error)) (*Apache, error) {
	h, err := host.New("apache", "")
	if err != nil {
		return nil, err
	}
	a := &Apache{Host: h}
	if err := a.begin(ctx, ready); err != nil {
		return nil, errors.Join(err, a.Stop())
	}
	return a, nil
}

func (a *Apache) begin(ctx context.Context, ready func(*Apache) (Application, error)) error {
	program, err := a.Tool("apache2")
	if err != nil {
		return err
	}
	ports, err := a.Claim(1)
	if err != nil {
		return err
	}
	a.URL = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	a.Callback, a.Bye = a.URL+"/app/callback", a.URL+"/bye.html"
	app, err := ready(a)
	if err != nil {
		return err
	}
	file := filepath.Join(a.Data, "httpd.conf")
	fill := func(context.Context) error {
		var text strings.Builder
		if err := config.Execute(&text, map[string]any{"Dir": a.Data, "Port": ports[0], "URL": a.URL, "App": app, "Phrase": rand.Text(), "Library": library, "Root": os.Geteuid() == 0, "User": "www-data",
			"Modules": []string{"mpm_event", "authn_core", "authz_core", "authz_user", "headers", "auth_openidc"}}); err != nil {
			return err
		}
		if err := a.WriteFile(file, []byte(text.String())); err != nil {
			return err
		}
		pages := filepath.Join(a.Data, "pages")
		errs := []error{os.MkdirAll(filepath.Join(pages, "app"), 0o755)} //nolint:gosec // Apache reads them as a user of its own
		for name, content := range map[string]string{"app/index.html": "hello", "bye.html": "bye"} {
			errs = append(errs, os.WriteFile(filepath.Join(pages, name), []byte(content), 0o644)) //nolint:gosec // as above
		}
		return errors.Join(errs...)
	}
	return a.Begin(ctx, host.Life{
		Fill:    fill,
		Command: func() *exec.Cmd { return exec.Command(program, "-f", file, "-DFOREGROUND") },
		Answers: a.answers,
	})
}

// Complaints is what it wrote down as wrong.
func (a *Apache) Complaints() string {
	text, err := os.ReadFile(filepath.Join(a.Data, "errors"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (a *Apache) answers() error {
	c, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	resp, err := http.Get(a.Bye)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("it answers %s", resp.Status), resp.Body.Close())
	}
	return resp.Body.Close()
}
