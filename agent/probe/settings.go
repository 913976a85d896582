package probe

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"unicode"
)

// Variable describes one setting, for help texts and to know it from a misspelt one.
type Variable struct{ Name, Default, Meaning string }

// Variables are all settings that Open reads, in the order of a help text.
var Variables = []Variable{
	{"PROFILE", defaultProfile(), "how nodes are judged: rl-swarm, legacy or generic"},
	{"SCREEN_NAME", "gensyn", "legacy, generic: screen session that must be there"},
	{"CHECK_PORT", "true", `legacy, generic: whether PORT must accept connections: yes only when "true"`},
	{"PORT", "3000", "legacy, generic: port on 127.0.0.1; generic: several, with commas"},
	{"PROFILE_FILE", "", "rl-swarm: a JSON file whose members replace those of the built-in profile"},
	{"LOG_FILES", "", "rl-swarm: more logs of the node, with commas"},
	{"START_GRACE_SEC", "", "rl-swarm: seconds that a start may take (3600)"},
	{"STALL_SEC", "", "rl-swarm: seconds without a round after which a node is stalled (1800)"},
	{"PROCESS_PATTERNS", "", "generic: patterns of command lines of which each must run, with ;; between"},
	{"TMUX_SESSION", "", "generic: tmux session that must be there"},
	{"DOCKER_CONTAINER", "", "generic: containers that must run, by name or id, with commas"},
	{"SYSTEMD_UNIT", "", "generic: systemd units that must be active, with commas"},
	{"HTTP_URL", "", "generic: address that must answer"},
	{"HTTP_STATUS", "200-399", "generic: statuses that are right, such as 200,300-399"},
	{"HTTP_TEXT", "", "generic: text that the answer must hold"},
	{"LOG_FRESH", "", "generic: FILE:SECONDS, with commas: files that must have changed since"},
	{"LOG_PATTERNS", "", "generic: FILE|PATTERN|REASON, with ;; between: a new line like PATTERN is a failure for LOG_HOLD_SEC"},
	{"LOG_HOLD_SEC", "600", "generic: seconds"},
	{"COMMAND", "", "generic: shell command that must end with 0 within COMMAND_SEC"},
	{"COMMAND_SEC", "10", "generic: seconds, 1 to 60"},
}

// defaultProfile is rl-swarm, except where the processes of RL-Swarm cannot be seen: on Windows it runs in WSL or Docker.
func defaultProfile() string {
	if runtime.GOOS == "windows" {
		return ProfileLegacy
	}
	return ProfileSwarm
}

// reader turns settings into values and keeps the first error.
type reader struct {
	set map[string]string
	err error
}

// given is a setting without white space around it, "" when it is not set.
func (r *reader) given(name string) string { return strings.TrimSpace(r.set[name]) }

// text is a setting, or its default.
func (r *reader) text(name string) string {
	if v := r.given(name); v != "" {
		return v
	}
	for _, v := range Variables {
		if v.Name == name {
			return v.Default
		}
	}
	return ""
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) refuse(name, allowed string) {
	r.fail(fmt.Errorf("%s=%q is not allowed: it must be %s", name, r.text(name), allowed))
}

// session is the name of a screen or tmux session.
func (r *reader) session(name string) string {
	v := r.text(name)
	if strings.ContainsFunc(v, unicode.IsSpace) || strings.Contains(v, "/") {
		r.refuse(name, "the name of a session, without spaces or slashes")
	}
	return v
}

func (r *reader) port(name string) int {
	ports := r.ports(name)
	if len(ports) != 1 {
		r.refuse(name, "a port from 1 to 65535")
		return 0
	}
	return ports[0]
}

func (r *reader) ports(name string) []int {
	var ports []int
	for _, v := range list(r.text(name), ",") {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > math.MaxUint16 {
			r.refuse(name, "a port from 1 to 65535")
			return nil
		}
		ports = append(ports, n)
	}
	return ports
}

// paths is a list of whole paths.
func (r *reader) paths(name string) []string {
	all := list(r.given(name), ",")
	for _, v := range all {
		if !filepath.IsAbs(v) {
			r.refuse(name, "whole paths with commas between")
		}
	}
	return all
}

func (r *reader) seconds(name string, most int) int {
	n, err := strconv.Atoi(r.text(name))
	if err != nil || n < 1 || n > most {
		r.refuse(name, fmt.Sprintf("a number of seconds from 1 to %d", most))
	}
	return n
}

func (r *reader) pattern(name, v string) *regexp.Regexp {
	p, err := regexp.Compile(v)
	if err != nil {
		r.refuse(name, fmt.Sprintf("regular expressions of Go: %v", err))
	}
	return p
}

// list splits a setting and leaves out what is empty.
func list(v, separator string) []string {
	var out []string
	for part := range strings.SplitSeq(v, separator) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
