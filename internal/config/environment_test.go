package config

import (
	"os"
	"strings"
	"testing"
)

const twoConnections = `organizations: [{id: sun, name: Sun}]
connections:
  - {alias: hq, organization: sun, backend: {ldap: {addr: "ldap://x", bind_password: "${ROLLCALL_DATABASE_PASSWORD}"}}}
  - {alias: hq-two, organization: sun, backend: {csv: {file: a.csv}}}
`

// A variable that is meant for a key and reaches none is an error, as a key of the
// file would be: what it says would not be done, and nobody would know.
func TestVariablesThatReachNoKeyAreErrors(t *testing.T) {
	for name, test := range map[string]struct{ variable, file, want string }{
		"a policy without its dash":                   {"ROLLCALL_CONNECTIONS_HQ_SETTINGS_DRYRUN", twoConnections, "there is no such key; did you mean ROLLCALL_CONNECTIONS_HQ_SETTINGS_DRY_RUN?"},
		"of an alias that begins as another does":     {"ROLLCALL_CONNECTIONS_HQ_TWO_SETINGS_DRY_RUN", twoConnections, "there is no such key; did you mean ROLLCALL_CONNECTIONS_HQ_TWO_SETTINGS_DRY_RUN?"},
		"a key one level too high":                    {"ROLLCALL_CONNECTIONS_HQ_NO_DELETE", twoConnections, "there is no such key; did you mean ROLLCALL_CONNECTIONS_HQ_SETTINGS_NO_DELETE?"},
		"a setting of the backend":                    {"ROLLCALL_CONNECTIONS_HQ_BACKEND_LDAP_BIND_PASWORD", twoConnections, "there is no such key; did you mean ROLLCALL_CONNECTIONS_HQ_BACKEND_LDAP_BIND_PASSWORD?"},
		"a setting that is like none":                 {"ROLLCALL_CONNECTIONS_HQ_COLOUR_OF_THE_SKY", twoConnections, "there is no such key below ROLLCALL_CONNECTIONS_HQ_"},
		"a key that only the file can have":           {"ROLLCALL_CONNECTIONS_HQ_MAPPING_EMAIL", twoConnections, "this key is set in the file; it has no variable"},
		"a connection that the file does not have":    {"ROLLCALL_CONNECTIONS_PARIS_SETTINGS_DRY_RUN", twoConnections, "the file has no connection called so; a variable changes one that stands there"},
		"a slip in the alias":                         {"ROLLCALL_CONNECTIONS_HQQ_SETTINGS_DRY_RUN", twoConnections, "the file has no connection called so; did you mean ROLLCALL_CONNECTIONS_HQ_SETTINGS_DRY_RUN?"},
		"one connection in place of several":          {"ROLLCALL_CONNECTION_HQ_SETTINGS_DRY_RUN", twoConnections, "there is no such key; did you mean ROLLCALL_CONNECTIONS_HQ_SETTINGS_DRY_RUN?"},
		"a connection where there is no file":         {"ROLLCALL_CONNECTIONS_HQ_SETTINGS_DRY_RUN", "", "the file has no connection called so; a variable changes one that stands there"},
		"an organization's key":                       {"ROLLCALL_ORGANIZATIONS_SUN_LICENSE_LIMIT", twoConnections, "there is no such key; did you mean ROLLCALL_ORGANIZATIONS_SUN_LICENCE_LIMIT?"},
		"an organization that the file does not have": {"ROLLCALL_ORGANIZATIONS_MOON_NAME", twoConnections, "the file has no organization called so; a variable changes one that stands there"},
		"a key of the top":                            {"ROLLCALL_DATABSE", "", "there is no such key; did you mean ROLLCALL_DATABASE?"},
		"two letters swapped":                         {"ROLLCALL_LSITEN", "", "there is no such key; did you mean ROLLCALL_LISTEN?"},
		"a key without its underscore":                {"ROLLCALL_PUBLICURL", "", "there is no such key; did you mean ROLLCALL_PUBLIC_URL?"},
		"a key with more at its end":                  {"ROLLCALL_DATABASE_URL", "", "there is no such key; did you mean ROLLCALL_DATABASE?"},
		"a file for what is no secret":                {"ROLLCALL_LISTEN_FILE", "", "there is no such key; did you mean ROLLCALL_LISTEN?"},
		"a key in a block":                            {"ROLLCALL_RETENTION_EVNTS", "", "there is no such key; did you mean ROLLCALL_RETENTION_EVENTS?"},
		"a list of the top":                           {"ROLLCALL_CONSOLE_TRUSTED_PROXIES", "", "this key is set in the file; it has no variable"},
		"a variable of the command line":              {"ROLLCALL_SERVR", "", "there is no such key; did you mean ROLLCALL_SERVER?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ROLLCALL_DATABASE_PASSWORD", "x")
			t.Setenv(test.variable, "a-value-nobody-sees")
			_, err := Parse("f.yaml", []byte(test.file+"database: sqlite:x.db\n"), kinds, os.LookupEnv)
			if test.file == "" {
				_, err = Parse("", nil, kinds, func(name string) (string, bool) {
					if name == "ROLLCALL_DATABASE_PASSWORD" {
						return "", false
					}
					return os.LookupEnv(name)
				})
			}
			if err == nil || !strings.Contains(err.Error(), "environment variable "+test.variable+": "+test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "nobody-sees") {
				t.Errorf("the value is told: %v", err)
			}
		})
	}
}

// Others have variables with our beginning too, and none of them is an error.
func TestVariablesOfOthersAreLeftAlone(t *testing.T) {
	for name, value := range map[string]string{
		"ROLLCALL_SERVER": "x", "ROLLCALL_API_KEY": "x", "ROLLCALL_CONFIG": "x", "ROLLCALL_PASSWORD": "x", "ROLLCALL_VERSION": "1", "ROLLCALL_HOME": "x", "ROLLCALL_USER": "x", "ROLLCALL_LOG_DIR": "x",
		"ROLLCALL_AGENT_SETTINGS_DRYRUN": "x", "ROLLCALL_RIG_CHILD": "x", "ROLLCALL_OPERATE_CONFIG": "x", "ROLLCALL_STORETEST_CHAPTER": "x", "ROLLCALL_DELIVER_DSN": "x",
		"ROLLCALL_DATABASE_PASSWORD": "x", "ROLLCALL_DATABASE_USER": "x",
		"ROLLCALL_PORT": "tcp://10.0.0.7:8080", "ROLLCALL_PORT_8080_TCP": "tcp://10.0.0.7:8080", "ROLLCALL_PORT_8080_TCP_ADDR": "10.0.0.7", "ROLLCALL_PORT_8080_TCP_PORT": "8080", "ROLLCALL_PORT_8080_TCP_PROTO": "tcp",
		"ROLLCALL_SERVICE_HOST": "10.0.0.7", "ROLLCALL_SERVICE_PORT": "8080", "ROLLCALL_SERVICE_PORT_HTTP": "8080",
		"ROLLCALL_DATABASE_SERVICE_HOST": "10.0.0.8", "ROLLCALL_DATABASE_PORT": "tcp://10.0.0.8:5432", "ROLLCALL_DATABASE_PORT_5432_TCP_ADDR": "10.0.0.8", "ROLLCALL_LISTEN_SERVICE_PORT_HTTP": "1",
	} {
		t.Setenv(name, value)
	}
	t.Setenv("ROLLCALL_CONNECTIONS_HQ_SETTINGS_DRY_RUN", "true")
	c, err := Parse("f.yaml", []byte(twoConnections+"database: sqlite:x.db\n"), kinds, os.LookupEnv)
	if err != nil || !c.Connections[0].Policy.DryRun || c.Connections[1].Policy.DryRun {
		t.Errorf("%v", err)
	}
	t.Setenv("ROLLCALL_CONNECTIONS_PARIS_SETTINGS_DRY_RUN", "true")
	if _, err := Declarations("new.yaml", []byte(twoConnections), kinds, os.LookupEnv); err != nil {
		t.Errorf("a file that is sent to an installation is told of that installation's variables: %v", err)
	}
}

func TestAnAgentsVariablesThatReachNoKeyAreErrors(t *testing.T) {
	const file = "settings: {no-delete: true}\nbackend: {csv: {file: a.csv}}\n"
	t.Setenv("ROLLCALL_CONNECTIONS_HQ_SETTINGS_DRYRUN", "true") // of a server beside it
	t.Setenv("ROLLCALL_AGENT_SERVICE_HOST", "10.0.0.7")
	t.Setenv("ROLLCALL_AGENT_SETTINGS_DRY_RUN", "true")
	a, err := ReadAgent("adc.yaml", []byte(file), kinds, os.LookupEnv)
	if err != nil || !a.Policy.DryRun {
		t.Fatalf("%+v %v", a, err)
	}
	t.Setenv("ROLLCALL_AGENT_SETTINGS_DRYRUN", "true")
	if _, err := ReadAgent("adc.yaml", []byte(file), kinds, os.LookupEnv); err == nil || !strings.Contains(err.Error(), "did you mean ROLLCALL_AGENT_SETTINGS_DRY_RUN?") {
		t.Errorf("%v", err)
	}
}

// A mistake of the file is told without what would follow from it.
func TestVariablesOfAListThatIsWrongAreNotJudged(t *testing.T) {
	t.Setenv("ROLLCALL_CONNECTIONS_HQ_BACKEND_LDAP_ADDR", "x")
	t.Setenv("ROLLCALL_DATABSE", "x")
	_, err := Parse("f.yaml", []byte("connections:\n- alias: hq\n  backend: {ladp: {}}\n"), kinds, os.LookupEnv)
	if err == nil || strings.Contains(err.Error(), "LDAP_ADDR") || !strings.Contains(err.Error(), "ROLLCALL_DATABSE") || !strings.Contains(err.Error(), `"ladp"`) {
		t.Errorf("%v", err)
	}
}
