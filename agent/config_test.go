package agent

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/ondown"
)

func hostname() (string, error) { return "gpu-1", nil }

// load reads settings of the environment alone.
func load(environment map[string]string) (Config, error) {
	return Load(Source{Environment: environment, Hostname: hostname})
}

// with returns the least settings and others.
func with(more map[string]string) map[string]string {
	set := map[string]string{"SERVER_URL": "https://monitor.example.org", "SHARED_SECRET": "hunter2"}
	maps.Copy(set, more)
	return set
}

func TestLoadDefaults(t *testing.T) {
	got, err := load(with(nil))
	want := Config{
		Servers: []string{"https://monitor.example.org"}, Secret: "hunter2", NodeID: "gpu-1-gensyn",
		IPCommand: "https://ifconfig.me", Interval: time.Minute,
		OnDown:   ondown.Config{After: 3, Grace: 10 * time.Minute, PerHour: 3, Timeout: 5 * time.Minute},
		Settings: map[string]string{},
	}
	if got.Proxy.except = nil; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v; want %#v", got, err, want)
	}
}

func TestLoadEverything(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	s := httptest.NewTLSServer(nil)
	s.Close()
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{
		"SERVER_URL": "http://192.0.2.1:8080/, https://two.example,", "SHARED_SECRET": "s", "NODE_ID": "n", "META": "left rack",
		"IP_CMD": "curl -4 ip.example", "INTERVAL_SEC": "2.5", "CA_FILE": ca, "STATE_DIR": "/var/x", "SCREEN_NAME": "swarm",
		"HTTPS_PROXY": "proxy:3128", "HTTP_PROXY": "socks5://u:p@proxy:1080", "NO_PROXY": "a.example, .B.example",
		"ON_DOWN_CMD": "/opt/restart", "ON_DOWN_AFTER": "5", "ON_DOWN_GRACE_SEC": "0", "ON_DOWN_MAX_PER_HOUR": "60",
		"ON_DOWN_TIMEOUT_SEC": "1.5", "ON_DOWN_STOP_FILE": "/run/stop",
	}
	got, err := load(set)
	want := Config{
		Servers: []string{"http://192.0.2.1:8080", "https://two.example"}, Secret: "s", NodeID: "n", Meta: "left rack",
		IPCommand: "curl -4 ip.example", Interval: 2500 * time.Millisecond, CAFile: ca, StateDir: "/var/x",
		Proxy: Proxies{
			https:  &url.URL{Scheme: "http", Host: "proxy:3128"},
			http:   &url.URL{Scheme: "socks5", Host: "proxy:1080", User: url.UserPassword("u", "p")},
			except: []string{"a.example", ".b.example"},
		},
		OnDown: ondown.Config{
			Command: "/opt/restart", After: 5, PerHour: 60, Timeout: 1500 * time.Millisecond, StopFile: "/run/stop",
		},
		Settings: map[string]string{"SCREEN_NAME": "swarm"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v; want %#v", got, err, want)
	}
}

func TestTheFileWinsOverTheEnvironment(t *testing.T) {
	environment := with(map[string]string{"NODE_ID": "environment", "INTERVAL_SEC": "7", "META": "environment", "https_proxy": "a:1"})
	got, err := Load(Source{
		Environment: environment, File: map[string]string{"NODE_ID": "file", "META": ""}, Hostname: hostname,
	})
	if err != nil || got.NodeID != "file" || got.Interval != 7*time.Second || got.Meta != "" || got.Proxy.https.Host != "a:1" {
		t.Errorf("%#v, %v", got, err)
	}
	if environment["NODE_ID"] != "environment" {
		t.Error("the caller's map was changed")
	}
}

func TestTheSecretMayLieInAFile(t *testing.T) {
	files := map[string]string{"good": "\uFEFFhunter2\r\n", "empty": "\n", "two": "a b"}
	read := func(name string) ([]byte, error) {
		text, ok := files[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
	for _, tt := range []struct{ secret, file, want string }{
		{"", "good", ""},
		{"", "empty", `SHARED_SECRET_FILE="empty" is not allowed: it must be a file with the token`},
		{"", "two", "SHARED_SECRET=*** is not allowed"},
		{"", "none", "SHARED_SECRET_FILE: file does not exist"},
		{"x", "good", "SHARED_SECRET and SHARED_SECRET_FILE are both set"},
	} {
		c, err := Load(Source{
			Environment: with(map[string]string{"SHARED_SECRET": tt.secret, "SHARED_SECRET_FILE": tt.file}),
			Hostname:    hostname, ReadFile: read,
		})
		if tt.want == "" && (err != nil || c.Secret != "hunter2") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %q, %v", tt, string(c.Secret), err)
		}
	}
}

func TestLoadReadsValues(t *testing.T) {
	tests := []struct {
		name, value string
		get         func(Config) any
		want        any
	}{
		{"NODE_ID", "$(hostname)-two", func(c Config) any { return c.NodeID }, "gpu-1-two"},
		{"NODE_ID", `a"b\c`, func(c Config) any { return c.NodeID }, `a"b\c`},
		{"NODE_ID", strings.Repeat("ü", 128), func(c Config) any { return c.NodeID }, strings.Repeat("ü", 128)},
		{"SERVER_URL", "https://a.example/", func(c Config) any { return c.Servers[0] }, "https://a.example"},
		{"SERVER_URL", "https://a.example//", func(c Config) any { return c.Servers[0] }, "https://a.example/"},
		{"SERVER_URL", "http://[2001:db8::1]:8080/monitor/", func(c Config) any { return c.Servers[0] }, "http://[2001:db8::1]:8080/monitor"},
		{"INTERVAL_SEC", "1", func(c Config) any { return c.Interval }, time.Second},
		{"INTERVAL_SEC", "3600", func(c Config) any { return c.Interval }, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			c, err := load(with(map[string]string{tt.name: tt.value}))
			if got := tt.get(c); err != nil || got != tt.want {
				t.Errorf("%v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"SERVER_URL", "", "SERVER_URL is missing: it must be an address"},
		{"SERVER_URL", "monitor.example.org", `SERVER_URL="monitor.example.org" is not allowed: it must be an address`},
		{"SERVER_URL", "monitor:8080", `SERVER_URL="monitor:8080" is not allowed`},
		{"SERVER_URL", "ftp://a.example", `SERVER_URL="ftp://a.example" is not allowed`},
		{"SERVER_URL", "https://", "is not allowed"},
		{"SERVER_URL", "https://a.example?x=1", "is not allowed"},
		{"SERVER_URL", "https://a.example/%zz", "is not allowed"},
		{"SERVER_URL", "https://user:hunter2@a.example", "SERVER_URL is not allowed: it must be an address"},
		{"SHARED_SECRET", "", "SHARED_SECRET is missing"},
		{"SHARED_SECRET", "hunter2 hunter2", "SHARED_SECRET=*** is not allowed"},
		{"SHARED_SECRET", "hunter2\n", "SHARED_SECRET=*** is not allowed"},
		{"SHARED_SECRET", "hünter2", "SHARED_SECRET=*** is not allowed"},
		{"NODE_ID", "$(curl x)", `NODE_ID="$(curl x)" is not allowed: it must be a name of at most 128 characters`},
		{"NODE_ID", "a`id`", "NODE_ID=\"a`id`\" is not allowed"},
		{"NODE_ID", "a\tb", `NODE_ID="a\tb" is not allowed`},
		{"NODE_ID", strings.Repeat("x", 129), "is not allowed"},
		{"SERVER_URL", "https://a.example b.example", `is not allowed: it must be an address`},
		{"HTTPS_PROXY", "http://u:hunter2@:3128", "HTTPS_PROXY is not allowed: it must be an address such as"},
		{"HTTP_PROXY", "ftp://proxy", "HTTP_PROXY is not allowed"},
		{"CA_FILE", "/nonexistent", "CA_FILE: open /nonexistent"},
		{"CA_FILE", os.DevNull, `CA_FILE="/dev/null" is not allowed: it must be a file with certificates`},
		{"ON_DOWN_AFTER", "0", `ON_DOWN_AFTER="0" is not allowed: it must be a whole number from 1 to 1000`},
		{"ON_DOWN_AFTER", "1.5", `ON_DOWN_AFTER="1.5" is not allowed`},
		{"ON_DOWN_MAX_PER_HOUR", "61", `ON_DOWN_MAX_PER_HOUR="61" is not allowed`},
		{"ON_DOWN_GRACE_SEC", "-1", `ON_DOWN_GRACE_SEC="-1" is not allowed`},
		{"ON_DOWN_TIMEOUT_SEC", "0", `ON_DOWN_TIMEOUT_SEC="0" is not allowed`},
		{"INTERVAL_SEC", "0.9", `INTERVAL_SEC="0.9" is not allowed: it must be a number of seconds from 1 to 3600`},
		{"INTERVAL_SEC", "3601", `INTERVAL_SEC="3601" is not allowed`},
		{"INTERVAL_SEC", "NaN", `INTERVAL_SEC="NaN" is not allowed`},
		{"INTERVAL_SEC", "60s", `INTERVAL_SEC="60s" is not allowed`},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			_, err := load(with(map[string]string{tt.name: tt.value}))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q shows the secret or is more than one line", err)
			}
		})
	}
}

func TestLoadWithoutAHostname(t *testing.T) {
	trouble := errors.New("no name")
	unknown := func() (string, error) { return "", trouble }
	if _, err := Load(Source{Environment: with(nil), Hostname: unknown}); !errors.Is(err, trouble) {
		t.Errorf("error %v", err)
	}
	if _, err := Load(Source{Environment: with(map[string]string{"NODE_ID": "n"}), Hostname: unknown}); err != nil {
		t.Errorf("error %v, though NODE_ID is set", err)
	}
}

func TestTheSecretDoesNotShow(t *testing.T) {
	c, err := load(with(nil))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprintf("%v", c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), string(encoded)} {
		if strings.Contains(s, "hunter2") || !strings.Contains(s, "***") {
			t.Error(s)
		}
	}
}

// TestVariablesAreThoseThatAreRead: a setting that is in no list would be called unknown, and one that is not read lies.
func TestVariablesAreThoseThatAreRead(t *testing.T) {
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range own {
		if v.Meaning == "" {
			t.Errorf("%s has no meaning", v.Name)
		}
		name := strings.TrimSuffix(v.Name, "_FILE")
		reads := strings.Count(string(source), `"`+v.Name+`"`)
		if v.Name == "SHARED_SECRET_FILE" {
			reads += strings.Count(string(source), `name+"_FILE"`)
		}
		if strings.HasSuffix(v.Name, "_PROXY") {
			continue // read in proxy.go
		}
		if reads < 2 {
			t.Errorf("%s (%s) is listed and never read", v.Name, name)
		}
	}
}

func TestUnknownSettingsAreNamed(t *testing.T) {
	got := Unknown(map[string]string{
		"SERVER_URL": "x", "PORT": "1", "SERVRE_URL": "x", "shared_secret": "x", "NODEID": "x", "GSWARM_EOA": "x", "INTERVAL": "5",
	})
	want := []string{
		"GSWARM_EOA is not known", "INTERVAL is not known", "NODEID is not known: did you mean NODE_ID?",
		"SERVRE_URL is not known: did you mean SERVER_URL?", "shared_secret is not known: did you mean SHARED_SECRET?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
