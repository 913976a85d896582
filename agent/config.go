package agent

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// DefaultFile is where the settings of an agent lie, unless AGENT_ENV_FILE or --config names another file.
const DefaultFile = "/etc/gensyn-agent.env"

// Secret is a value that never shows itself: formatted or marshalled it is "***", or "" when empty.
type Secret string

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config is what an agent is told to watch, and whom to tell.
type Config struct {
	ServerURL  string        // of the monitor, without the last slash
	Secret     Secret        // the token of the monitor
	NodeID     string        // names the node for ever
	Meta       string        // shown beside the node
	ScreenName string        // of the screen session that must be there
	CheckPort  bool          // whether Port must accept connections
	Port       int           // on 127.0.0.1
	IPCommand  string        // an http(s) address to fetch, or a shell command, that says this machine's address
	Interval   time.Duration // between heartbeats
}

// Variable describes one setting, for help texts.
type Variable struct{ Name, Default, Meaning string }

// Variables are all settings, in the order of a help text.
var Variables = []Variable{
	{"SERVER_URL", "", "address of the monitor, such as https://monitor.example.org"},
	{"SHARED_SECRET", "", "token of the monitor"},
	{"NODE_ID", "$(hostname)-gensyn", "name of this node"},
	{"META", "", "text shown beside the node"},
	{"SCREEN_NAME", "gensyn", "screen session that must be there"},
	{"CHECK_PORT", "true", `whether PORT must accept connections: yes only when "true"`},
	{"PORT", "3000", "port on 127.0.0.1"},
	{"IP_CMD", "https://ifconfig.me", "address to fetch, or shell command, that says this machine's IP address"},
	{"INTERVAL_SEC", "60", "seconds between heartbeats, 1 to 3600 (run)"},
}

// Load makes a Config from the environment and the settings of a file, which win. An empty value means the default.
// hostname names the machine. The error is one line with the variable, its value unless it is secret, and what is
// allowed.
func Load(environment, file map[string]string, hostname func() (string, error)) (Config, error) {
	set := maps.Clone(environment)
	if set == nil {
		set = make(map[string]string)
	}
	maps.Copy(set, file)
	for _, v := range Variables {
		if set[v.Name] == "" {
			set[v.Name] = v.Default
		}
	}
	r := reader{set: set}
	c := Config{
		ServerURL:  r.address("SERVER_URL"),
		Secret:     r.secret("SHARED_SECRET"),
		NodeID:     r.nodeID("NODE_ID", hostname),
		Meta:       set["META"],
		ScreenName: r.screen("SCREEN_NAME"),
		CheckPort:  set["CHECK_PORT"] == "true",
		Port:       r.port("PORT"),
		IPCommand:  strings.TrimSpace(set["IP_CMD"]),
		Interval:   r.seconds("INTERVAL_SEC", 1, 3600),
	}
	return c, r.err
}

// reader turns texts into values and keeps the first error.
type reader struct {
	set map[string]string
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) refuse(name, allowed string) {
	r.fail("%s=%q is not allowed: it must be %s", name, r.set[name], allowed)
}

// address reads the address of a server. One trailing slash goes, as in the first agents.
func (r *reader) address(name string) string {
	const allowed = "an address such as https://monitor.example.org, without a user, a query or a fragment"
	v := strings.TrimSuffix(strings.TrimSpace(r.set[name]), "/")
	u, err := url.Parse(v)
	switch {
	case v == "":
		r.fail("%s is missing: it must be %s", name, allowed)
	case strings.Contains(v, "@"):
		// It may hold a password, so the value is not shown.
		r.fail("%s is not allowed: it must be %s", name, allowed)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(v, "?#"):
		r.refuse(name, allowed)
	}
	return v
}

// secret reads a token, which travels as one word of a header.
func (r *reader) secret(name string) Secret {
	v := r.set[name]
	if v == "" {
		r.fail("%s is missing: it must be the token of the monitor", name)
	}
	for _, c := range []byte(v) {
		if c <= ' ' || c >= 0x7f {
			r.fail("%s=*** is not allowed: it must be letters, digits and signs of ASCII, without spaces", name)
		}
	}
	return Secret(v)
}

// nodeID understands the one command that settings files of the first agents have: $(hostname).
func (r *reader) nodeID(name string, hostname func() (string, error)) string {
	v := strings.TrimSpace(r.set[name])
	if strings.Contains(v, "$(hostname)") {
		host, err := hostname()
		if err != nil {
			r.fail("%s: the name of this machine is not known, set %s: %w", name, name, err)
		}
		v = strings.ReplaceAll(v, "$(hostname)", host)
	}
	commands := strings.Contains(v, "$(") || strings.Contains(v, "`")
	if v == "" || commands || strings.ContainsFunc(v, unicode.IsControl) || utf8.RuneCountInString(v) > contract.MaxNodeIDChars {
		r.refuse(name, fmt.Sprintf("a name of at most %d characters, without commands other than $(hostname)",
			contract.MaxNodeIDChars))
	}
	return v
}

func (r *reader) screen(name string) string {
	v := strings.TrimSpace(r.set[name])
	if v == "" || strings.ContainsFunc(v, unicode.IsSpace) || strings.Contains(v, "/") {
		r.refuse(name, "the name of a screen session, without spaces or slashes")
	}
	return v
}

func (r *reader) port(name string) int {
	n, err := strconv.Atoi(strings.TrimSpace(r.set[name]))
	if err != nil || n < 1 || n > math.MaxUint16 {
		r.refuse(name, "a port from 1 to 65535")
	}
	return n
}

func (r *reader) seconds(name string, least, most float64) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(r.set[name]), 64)
	if err != nil || !(n >= least && n <= most) {
		r.refuse(name, fmt.Sprintf("a number of seconds from %v to %v", least, most))
	}
	return time.Duration(n * float64(time.Second))
}
