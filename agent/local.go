package agent

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/host"
	"github.com/gensyn-monitor/gensyn-monitor/agent/mask"
	"github.com/gensyn-monitor/gensyn-monitor/agent/ondown"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

// Machine is where an agent runs.
type Machine struct {
	Version   string // of the agent
	StateDirs []string
	Environ   []string // for ON_DOWN_CMD
	Log       *log.Logger
	Once      bool // the process sends one report
}

// parts are what Local and Check have in common.
type parts struct {
	clients []*Client
	servers *Servers
	address *Address
	profile probe.Profile
	state   *State
	dir     string   // of the state, "" for none
	notes   []string // for people: what does not work as well as it could
}

func (m Machine) parts(c Config) (*parts, error) {
	var pool *x509.CertPool
	if c.CAFile != "" {
		var err error
		if pool, err = roots(c.CAFile, os.ReadFile); err != nil {
			return nil, err
		}
	}
	p := &parts{}
	transport := NewTransport(c.Proxy, pool)
	for _, server := range c.Servers {
		p.clients = append(p.clients, NewClient(server, c.Secret, m.Version, transport))
	}
	p.servers = NewServers(p.clients...)
	p.address = NewAddress(c.IPCommand, m.Version, time.Now, transport)
	var err error
	if p.dir, err = m.stateDir(c.StateDir); err != nil {
		p.notes = append(p.notes, err.Error())
	}
	if p.state, err = OpenState(p.dir); err != nil {
		p.notes = append(p.notes, err.Error())
	}
	p.profile, err = probe.Open(c.Settings, probe.Host{StateDir: p.dir})
	return p, err
}

// stateDir is the first directory that can be written to. Without any the agent works, and the error says why.
func (m Machine) stateDir(configured string) (string, error) {
	dirs := m.StateDirs
	if configured != "" {
		dirs = []string{configured}
	}
	if len(dirs) == 0 {
		return "", errors.New("nothing survives a restart of the agent: no directory is known for it, since HOME is not set")
	}
	var errs []error
	for _, dir := range dirs {
		err := writable(dir)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("nothing survives a restart of the agent: %w", errors.Join(errs...))
}

// writable reports why files cannot be written to a directory, which is made when missing.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "try.*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// StateDirs are the directories for the state on a system, the best first. env names a variable of the environment, and
// root says whether the agent may write anywhere.
func StateDirs(goos string, root bool, env func(string) string) []string {
	home := env("HOME")
	var out []string
	add := func(base string, more ...string) {
		if base != "" {
			out = append(out, filepath.Join(append([]string{base}, more...)...))
		}
	}
	add(env("STATE_DIRECTORY")) // systemd's
	switch {
	case goos == "windows":
		add(env("ProgramData"), "gensyn-agent")
		add(env("LocalAppData"), "gensyn-agent")
	case goos == "darwin" && root:
		add("/Library/Application Support/gensyn-agent")
	case goos == "darwin":
		add(home, "Library/Application Support/gensyn-agent")
	case root:
		add("/var/lib/gensyn-agent")
	default:
		add(env("XDG_STATE_HOME"), "gensyn-agent")
		add(home, ".local/state/gensyn-agent")
	}
	return out
}

// Local makes an agent for this machine, and a function that frees what it holds.
func Local(c Config, m Machine) (*Agent, func(), error) {
	p, err := m.parts(c)
	if err != nil {
		return nil, nil, err
	}
	for _, note := range p.notes {
		m.Log.Print(note)
	}
	down, err := m.onDown(c, p.dir)
	if err != nil {
		return nil, nil, err
	}
	boot := NewBoot("/proc")
	if !m.Once {
		boot.OrProcess()
	}
	a := New(Options{
		Config:  c,
		Version: m.Version,
		Profile: p.profile,
		Send:    p.servers.Send,
		Metrics: host.New("").Metrics,
		Offset:  p.servers.Offset,
		Address: p.address.Find,
		Boot:    boot.Now,
		State:   p.state,
		OnDown:  down,
		Rest:    Rest,
		Log:     m.Log,
	})
	return a, p.servers.Close, nil
}

// onDown is what runs ON_DOWN_CMD, nil without one.
func (m Machine) onDown(c Config, dir string) (*ondown.Command, error) {
	if c.OnDown.Command == "" {
		return nil, nil
	}
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "gensyn-agent-*"); err != nil {
			return nil, fmt.Errorf("a place for the output of ON_DOWN_CMD: %w", err)
		}
	}
	return &ondown.Command{
		Text: c.OnDown.Command, Timeout: c.OnDown.Timeout,
		Output: filepath.Join(dir, OutputFile), Mask: mask.Lines, Environ: m.Environ,
	}, nil
}

// OutputFile is what ON_DOWN_CMD printed last, in the directory for the state.
const OutputFile = "on_down.log"
