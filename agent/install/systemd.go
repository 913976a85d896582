package install

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
)

// systemd installs on Linux.
type systemd struct{}

const (
	unitDir  = "/etc/systemd/system/"
	unitName = "gensyn-agent.service"
	// mark is the first line of a unit that this program wrote.
	mark = "# Written by gensyn-agent install: changes are lost with the next one, except in a drop-in (systemctl edit)."
)

func (systemd) paths() paths {
	return paths{program: "/usr/local/bin/gensyn-agent", settings: "/etc/gensyn-agent.env", state: "/var/lib/gensyn-agent"}
}

func (systemd) ready(s System) error {
	if len(s.Glob("/run/systemd/system")) == 0 {
		return errors.New(`systemd does not run here: start "gensyn-agent run" with what starts programs on this machine`)
	}
	return nil
}

// oldUnits are the files of earlier agents' units.
func oldUnits(s System) (units []string) {
	for _, pattern := range []string{"*gensyn*agent*.timer", "*gensyn*agent*.service"} {
		for _, file := range s.Glob(unitDir + pattern) {
			if data, err := s.ReadFile(file); err == nil && !bytes.HasPrefix(data, []byte(mark)) {
				units = append(units, file)
			}
		}
	}
	return units
}

// aside is what the names of old units end with while this agent is in their place: so they start no more by mistake,
// and uninstall finds them.
const aside = ".old"

// old ends timers first: they would start their service again.
func (systemd) old(_ context.Context, s System) (found []string, end []step) {
	for _, file := range oldUnits(s) {
		unit := filepath.Base(file)
		found = append(found, unit)
		end = append(end, try("systemctl", "disable", "--now", unit), move("keep the old unit as "+file+aside, file, file+aside))
	}
	return found, end
}

// move moves a unit, which may hold the secret.
func move(say, from, to string) step {
	return step{say, func(_ context.Context, s System) error {
		data, err := s.ReadFile(from)
		if err != nil {
			return err
		}
		if err := s.WriteFile(to, data, 0o600); err != nil {
			return err
		}
		return s.Remove(from)
	}}
}

// oldSettings are the Environment lines of old units.
func (systemd) oldSettings(s System) map[string]string {
	set := make(map[string]string)
	for _, file := range oldUnits(s) {
		data, err := s.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), "Environment=")
			if !ok {
				continue
			}
			for _, word := range words(rest) {
				if name, value, ok := strings.Cut(word, "="); ok {
					set[name] = specifiers.Replace(value)
				}
			}
		}
	}
	return set
}

// specifiers are those of units that a settings file can say in its own way: %H is the name of the machine.
var specifiers = strings.NewReplacer("%%", "%", "%H", "$(hostname)")

// words splits a line as systemd does: at blanks outside of quotes, without the quotes.
func words(line string) (out []string) {
	var word strings.Builder
	var quote rune
	begun := false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, begun = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if begun {
				out = append(out, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if begun {
		out = append(out, word.String())
	}
	return out
}

func (systemd) install(p paths, settings map[string]string) []step {
	unit := unitFor(p, settings["ON_DOWN_CMD"] != "")
	return []step{
		write("write "+unitDir+unitName, unitDir+unitName, []byte(unit), 0o644),
		run("systemctl", "daemon-reload"),
		run("systemctl", "enable", unitName),
		run("systemctl", "restart", unitName),
	}
}

// uninstall leaves old units as they were before, but off: whether two agents report is for people to say.
func (systemd) uninstall(_ context.Context, s System, _ paths) []step {
	steps := []step{try("systemctl", "disable", "--now", unitName), remove(unitDir + unitName)}
	var notes []step
	for _, pattern := range []string{"*gensyn*agent*.timer", "*gensyn*agent*.service"} {
		for _, file := range s.Glob(unitDir + pattern + aside) {
			unit := strings.TrimSuffix(file, aside)
			steps = append(steps, move("put back "+unit, file, unit))
			if strings.HasSuffix(unit, ".timer") {
				notes = append(notes, note("the earlier agent is off: systemctl enable --now "+filepath.Base(unit)+" starts it"))
			}
		}
	}
	return append(append(steps, run("systemctl", "daemon-reload")), notes...)
}

// note is a step that only says something.
func note(say string) step {
	return step{say, func(context.Context, System) error { return nil }}
}

// Caged reports whether the agent is installed as a service in a cage, in which ON_DOWN_CMD can do next to nothing.
func Caged(s System) bool {
	unit, err := s.ReadFile(unitDir + unitName)
	return err == nil && bytes.Contains(unit, []byte("\nProtectSystem=strict\n"))
}

// unitFor is the unit. What a command of ON_DOWN_CMD starts is a child of the agent: it has the agent's cage, and would
// end with the agent, so with one there is no cage, and the agent alone is stopped.
func unitFor(p paths, onDown bool) string {
	cage := hardening
	if onDown {
		cage = `# ON_DOWN_CMD is set, and what it starts would be in the same cage: so there is none, and what it started lives on
# when the agent is stopped. Without ON_DOWN_CMD "gensyn-agent install" writes a cage here.
KillMode=process
`
	}
	return mark + `
[Unit]
Description=Gensyn Monitor agent
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=` + word(p.program) + ` run --config ` + word(p.settings) + `
Restart=always
RestartSec=15
StateDirectory=gensyn-agent
StateDirectoryMode=0700
UMask=0077
` + cage + `
[Install]
WantedBy=multi-user.target
`
}

// word writes a path as one word of a unit.
func word(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if strings.ContainsAny(s, " \t\"'\\$") {
		s = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$").Replace(s) + `"`
	}
	return s
}

// hardening leaves the agent what its probes need: root's eyes, and no hands.
const hardening = `# It must see processes, their environment and working directories, logs and sessions of all users: root, but with the
# right to read alone. Not set, since probes need what they hide: PrivateTmp (sessions of screen and tmux),
# PrivateDevices (GPUs), ProtectProc and ProcSubset (processes of others), PrivateNetwork (ports of this machine).
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
`
