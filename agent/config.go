package agent

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/agent/ondown"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
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
	Servers   []string          // of the monitor, in order of preference, without the last slash
	Secret    Secret            // the token of the monitor
	NodeID    string            // names the node for ever
	Meta      string            // shown beside the node
	IPCommand string            // an http(s) address to fetch, or a shell command, that says this machine's address
	Interval  time.Duration     // between heartbeats
	CAFile    string            // certificates to trust besides those of the system; "" for none
	Proxy     Proxies           // how servers are reached
	StateDir  string            // where to keep what must survive a restart; "" for the first of StateDirs that can be used
	OnDown    ondown.Config     // what to run while a node is down
	Settings  map[string]string // those of probe.Variables
}

// Variable describes one setting, for help texts.
type Variable = probe.Variable

// own are the settings of the agent itself, in the order of a help text.
var own = []Variable{
	{Name: "SERVER_URL", Meaning: "address of the monitor, such as https://monitor.example.org; several in order, with commas"},
	{Name: "SHARED_SECRET", Meaning: "token of the monitor"},
	{Name: "SHARED_SECRET_FILE", Meaning: "file with the token, instead of SHARED_SECRET"},
	{Name: "NODE_ID", Default: "$(hostname)-gensyn", Meaning: "name of this node"},
	{Name: "META", Meaning: "text shown beside the node"},
	{Name: "IP_CMD", Default: "https://ifconfig.me", Meaning: "address to fetch, or shell command, that says this machine's IP address"},
	{Name: "INTERVAL_SEC", Default: "60", Meaning: "seconds between heartbeats, 1 to 3600 (run)"},
	{Name: "CA_FILE", Meaning: "certificates (PEM) to trust besides those of the system"},
	{Name: "HTTPS_PROXY", Meaning: "proxy for https addresses, such as http://proxy:3128"},
	{Name: "HTTP_PROXY", Meaning: "proxy for http addresses"},
	{Name: "NO_PROXY", Meaning: "hosts reached without a proxy: names, .domains, addresses or networks, with commas; * for all"},
	{Name: "STATE_DIR", Meaning: "directory for what must survive a restart (found by itself)"},
	{Name: "ON_DOWN_CMD", Meaning: "command to run while a node is down; unset: none"},
	{Name: "ON_DOWN_AFTER", Default: "3", Meaning: "heartbeats in a row that must say DOWN before it runs, 1 to 1000"},
	{Name: "ON_DOWN_GRACE_SEC", Default: "600", Meaning: "seconds after the agent's start, and after each end of the command, in which it does not run"},
	{Name: "ON_DOWN_MAX_PER_HOUR", Default: "3", Meaning: "how often it runs in an hour at most, 1 to 60"},
	{Name: "ON_DOWN_TIMEOUT_SEC", Default: "300", Meaning: "seconds after which it is killed with all that it started"},
	{Name: "ON_DOWN_STOP_FILE", Meaning: "while this file is there, it does not run"},
}

// Variables are all settings, in the order of a help text.
func Variables() []Variable { return slices.Concat(own, probe.Variables) }

// Source is where settings come from. The file wins over the environment.
type Source struct {
	Environment, File map[string]string
	Hostname          func() (string, error)            // names the machine
	ReadFile          func(name string) ([]byte, error) // nil: os.ReadFile
}

// merged are all settings, without defaults.
func (s Source) merged() map[string]string {
	set := maps.Clone(s.Environment)
	if set == nil {
		set = make(map[string]string)
	}
	// Programs look for these in either case.
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
		set[name] = cmp.Or(set[name], set[strings.ToLower(name)])
	}
	maps.Copy(set, s.File)
	return set
}

// Load makes a Config. An empty value means the default. The error is one line with the variable, its value unless it is
// secret, and what is allowed.
func Load(s Source) (Config, error) {
	set := s.merged()
	settings := make(map[string]string)
	for _, v := range probe.Variables {
		if value, ok := set[v.Name]; ok {
			settings[v.Name] = value
		}
	}
	for _, v := range own {
		if set[v.Name] == "" {
			set[v.Name] = v.Default
		}
	}
	r := reader{set: set, readFile: s.ReadFile}
	if r.readFile == nil {
		r.readFile = os.ReadFile
	}
	c := Config{
		Servers:   r.addresses("SERVER_URL"),
		Secret:    r.secret("SHARED_SECRET"),
		NodeID:    r.nodeID("NODE_ID", s.Hostname),
		Meta:      set["META"],
		IPCommand: strings.TrimSpace(set["IP_CMD"]),
		Interval:  r.seconds("INTERVAL_SEC", 1, 3600),
		CAFile:    strings.TrimSpace(set["CA_FILE"]),
		Proxy:     r.proxies(),
		StateDir:  strings.TrimSpace(set["STATE_DIR"]),
		OnDown: ondown.Config{
			Command:  strings.TrimSpace(set["ON_DOWN_CMD"]),
			After:    r.whole("ON_DOWN_AFTER", 1, 1000),
			Grace:    r.seconds("ON_DOWN_GRACE_SEC", 0, 86400),
			PerHour:  r.whole("ON_DOWN_MAX_PER_HOUR", 1, 60),
			Timeout:  r.seconds("ON_DOWN_TIMEOUT_SEC", 1, 3600),
			StopFile: strings.TrimSpace(set["ON_DOWN_STOP_FILE"]),
		},
		Settings: settings,
	}
	if r.err == nil && c.CAFile != "" {
		_, r.err = roots(c.CAFile, r.readFile)
	}
	return c, r.err
}

// reader turns texts into values and keeps the first error.
type reader struct {
	set      map[string]string
	readFile func(name string) ([]byte, error)
	err      error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) refuse(name, allowed string) {
	r.fail("%s=%q is not allowed: it must be %s", name, r.set[name], allowed)
}

// addresses reads the addresses of one or several servers.
func (r *reader) addresses(name string) []string {
	var out []string
	for _, v := range strings.FieldsFunc(r.set[name], func(c rune) bool { return c == ',' || unicode.IsSpace(c) }) {
		out = append(out, r.address(name, v))
	}
	if len(out) == 0 {
		r.fail("%s is missing: it must be %s", name, addressAllowed)
	}
	return out
}

const addressAllowed = "an address such as https://monitor.example.org, without a user, a query or a fragment"

// address reads the address of a server. One trailing slash goes, as in the first agents.
func (r *reader) address(name, v string) string {
	v = strings.TrimSuffix(v, "/")
	u, err := url.Parse(v)
	switch {
	case strings.Contains(v, "@"):
		// It may hold a password, so the value is not shown.
		r.fail("%s is not allowed: it must be %s", name, addressAllowed)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(v, "?#"):
		r.refuse(name, addressAllowed)
	}
	return v
}

// secret reads a token, which travels as one word of a header, or the file that holds it.
func (r *reader) secret(name string) Secret {
	v, file := r.set[name], strings.TrimSpace(r.set[name+"_FILE"])
	switch {
	case v != "" && file != "":
		r.fail("%s and %s_FILE are both set: it must be one of them", name, name)
	case file != "":
		data, err := r.readFile(file)
		if err != nil {
			r.fail("%s_FILE: %w", name, err)
		}
		v = strings.TrimSpace(strings.TrimPrefix(string(data), "\uFEFF"))
		if v == "" {
			r.fail("%s_FILE=%q is not allowed: it must be a file with the token of the monitor", name, file)
		}
	case v == "":
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

func (r *reader) whole(name string, least, most int) int {
	n, err := strconv.Atoi(strings.TrimSpace(r.set[name]))
	if err != nil || n < least || n > most {
		r.refuse(name, fmt.Sprintf("a whole number from %d to %d", least, most))
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
