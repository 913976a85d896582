package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

func host() (string, error) { return "gpu-1", nil }

// with returns the least settings and others.
func with(more map[string]string) map[string]string {
	set := map[string]string{"SERVER_URL": "https://monitor.example.org", "SHARED_SECRET": "hunter2"}
	maps.Copy(set, more)
	return set
}

func TestLoadDefaults(t *testing.T) {
	got, err := Load(with(nil), nil, host)
	want := Config{
		ServerURL: "https://monitor.example.org", Secret: "hunter2", NodeID: "gpu-1-gensyn", ScreenName: "gensyn",
		CheckPort: true, Port: 3000, IPCommand: "https://ifconfig.me", Interval: time.Minute,
	}
	if err != nil || got != want {
		t.Errorf("%#v, %v; want %#v", got, err, want)
	}
}

func TestLoadEverything(t *testing.T) {
	got, err := Load(map[string]string{
		"SERVER_URL": "http://192.0.2.1:8080/", "SHARED_SECRET": "s", "NODE_ID": "n", "META": "left rack", "SCREEN_NAME": "swarm",
		"CHECK_PORT": "false", "PORT": "3001", "IP_CMD": "curl -4 ip.example", "INTERVAL_SEC": "2.5",
	}, nil, host)
	want := Config{
		ServerURL: "http://192.0.2.1:8080", Secret: "s", NodeID: "n", Meta: "left rack", ScreenName: "swarm",
		Port: 3001, IPCommand: "curl -4 ip.example", Interval: 2500 * time.Millisecond,
	}
	if err != nil || got != want {
		t.Errorf("%#v, %v; want %#v", got, err, want)
	}
}

func TestTheFileWinsOverTheEnvironment(t *testing.T) {
	environment := with(map[string]string{"NODE_ID": "environment", "PORT": "1", "META": "environment"})
	got, err := Load(environment, map[string]string{"NODE_ID": "file", "META": ""}, host)
	if err != nil || got.NodeID != "file" || got.Port != 1 || got.Meta != "" {
		t.Errorf("%#v, %v", got, err)
	}
	if environment["NODE_ID"] != "environment" {
		t.Error("the caller's map was changed")
	}
}

func TestLoadReadsValues(t *testing.T) {
	tests := []struct {
		name, value string
		get         func(Config) any
		want        any
	}{
		{"CHECK_PORT", "true", func(c Config) any { return c.CheckPort }, true},
		{"CHECK_PORT", "", func(c Config) any { return c.CheckPort }, true},
		{"CHECK_PORT", "True", func(c Config) any { return c.CheckPort }, false},
		{"CHECK_PORT", "1", func(c Config) any { return c.CheckPort }, false},
		{"CHECK_PORT", "yes", func(c Config) any { return c.CheckPort }, false},
		{"NODE_ID", "$(hostname)-two", func(c Config) any { return c.NodeID }, "gpu-1-two"},
		{"NODE_ID", `a"b\c`, func(c Config) any { return c.NodeID }, `a"b\c`},
		{"NODE_ID", strings.Repeat("ü", 128), func(c Config) any { return c.NodeID }, strings.Repeat("ü", 128)},
		{"SERVER_URL", "https://a.example/", func(c Config) any { return c.ServerURL }, "https://a.example"},
		{"SERVER_URL", "https://a.example//", func(c Config) any { return c.ServerURL }, "https://a.example/"},
		{"SERVER_URL", "http://[2001:db8::1]:8080/monitor/", func(c Config) any { return c.ServerURL }, "http://[2001:db8::1]:8080/monitor"},
		{"INTERVAL_SEC", "1", func(c Config) any { return c.Interval }, time.Second},
		{"INTERVAL_SEC", "3600", func(c Config) any { return c.Interval }, time.Hour},
		{"PORT", "65535", func(c Config) any { return c.Port }, 65535},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			c, err := Load(with(map[string]string{tt.name: tt.value}), nil, host)
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
		{"SCREEN_NAME", "my session", `SCREEN_NAME="my session" is not allowed: it must be the name of a screen session`},
		{"SCREEN_NAME", "a/b", `SCREEN_NAME="a/b" is not allowed`},
		{"PORT", "0", `PORT="0" is not allowed: it must be a port from 1 to 65535`},
		{"PORT", "65536", `PORT="65536" is not allowed`},
		{"PORT", "http", `PORT="http" is not allowed`},
		{"INTERVAL_SEC", "0.9", `INTERVAL_SEC="0.9" is not allowed: it must be a number of seconds from 1 to 3600`},
		{"INTERVAL_SEC", "3601", `INTERVAL_SEC="3601" is not allowed`},
		{"INTERVAL_SEC", "NaN", `INTERVAL_SEC="NaN" is not allowed`},
		{"INTERVAL_SEC", "60s", `INTERVAL_SEC="60s" is not allowed`},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			_, err := Load(with(map[string]string{tt.name: tt.value}), nil, host)
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
	if _, err := Load(with(nil), nil, unknown); !errors.Is(err, trouble) {
		t.Errorf("error %v", err)
	}
	if _, err := Load(with(map[string]string{"NODE_ID": "n"}), nil, unknown); err != nil {
		t.Errorf("error %v, though NODE_ID is set", err)
	}
}

func TestTheSecretDoesNotShow(t *testing.T) {
	c, err := Load(with(nil), nil, host)
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

func TestVariablesAreThoseThatAreRead(t *testing.T) {
	for _, v := range Variables {
		if v.Meaning == "" {
			t.Errorf("%s has no meaning", v.Name)
		}
	}
	if len(Variables) != 9 {
		t.Errorf("%d variables", len(Variables))
	}
}
